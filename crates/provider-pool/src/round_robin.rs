//! One after the other.

use crate::strategy::{Candidates, Strategy};
use crate::turns::Turns;

/// One after the other, whatever their weights. Those that are out are passed over, and their turns go to all the others
/// alike.
///
/// ```
/// use provider_pool::{Provider, ProviderPool, RoundRobin};
/// use tower::service_fn;
///
/// let service = service_fn(async |_: ()| Ok::<_, provider_pool::BoxError>("hello"));
/// let pool = ProviderPool::builder()
///     .provider(Provider::new("a", service))
///     .provider(Provider::new("b", service))
///     .strategy(RoundRobin::default())
///     .build()?;
/// let picks: Vec<_> = (0..4).filter_map(|_| pool.pick(None)).collect();
/// assert_eq!(picks.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "a", "b"]);
/// # Ok::<(), provider_pool::BuildError>(())
/// ```
#[derive(Debug, Default)]
pub struct RoundRobin(Turns);

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round_robin"
    }

    fn pick(&self, candidates: &Candidates<'_>) -> usize {
        candidates.by_turns(&self.0, |candidate| Some(candidate.share()))
    }

    fn heeds_share(&self) -> bool {
        true
    }
}
