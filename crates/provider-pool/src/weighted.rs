//! In proportion to their weights.

use crate::strategy::{Candidates, Strategy};
use crate::turns::Turns;

/// In exact proportion to their weights, and evenly spread: of weights 3 and 1, three of any four calls in a row go to the
/// first.
///
/// ```
/// use provider_pool::{Provider, ProviderPool, Weighted};
/// use tower::service_fn;
///
/// let service = service_fn(async |_: ()| Ok::<_, provider_pool::BoxError>("hello"));
/// let pool = ProviderPool::builder()
///     .provider(Provider::new("big", service).weight(3))
///     .provider(Provider::new("small", service))
///     .strategy(Weighted::default())
///     .build()?;
/// let picks: Vec<_> = (0..400).filter_map(|_| pool.pick(None)).collect();
/// assert!(picks.windows(4).all(|four| four.iter().filter(|name| &***name == "big").count() == 3));
/// # Ok::<(), provider_pool::BuildError>(())
/// ```
#[derive(Debug, Default)]
pub struct Weighted(Turns);

impl Strategy for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn pick(&self, candidates: &Candidates<'_>) -> usize {
        candidates.by_turns(&self.0, |candidate| {
            Some(f64::from(candidate.weight()) * candidate.share())
        })
    }

    fn heeds_share(&self) -> bool {
        true
    }
}
