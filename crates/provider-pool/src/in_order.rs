//! The first that may be asked.

use crate::strategy::{Candidates, Strategy};

/// The first that may be asked, in the order in which they were added: a primary, its backup, the backup's backup.
///
/// ```
/// use provider_pool::{InOrder, Provider, ProviderPool};
/// use tower::service_fn;
///
/// let service = service_fn(async |_: ()| Ok::<_, provider_pool::BoxError>("hello"));
/// let pool = ProviderPool::builder()
///     .provider(Provider::new("primary", service))
///     .provider(Provider::new("backup", service))
///     .strategy(InOrder)
///     .build()?;
/// assert_eq!(pool.pick(None).as_deref(), Some("primary"));
/// # Ok::<(), provider_pool::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct InOrder;

impl Strategy for InOrder {
    fn name(&self) -> &'static str {
        "in_order"
    }

    fn pick(&self, candidates: &Candidates<'_>) -> usize {
        candidates.iter().next().map_or(0, |candidate| candidate.place())
    }
}
