//! The handle.

use std::fmt;
use std::sync::Arc;

use crate::account::Account;
use crate::action::{Action, Shown};
use crate::deadline::within;
use crate::error::Refused;
use crate::lease::Lease;
use crate::observe;
use crate::policy::{CooldownBuilder, Policy, StoreFailure};
use crate::status::Status;
use crate::store::{Answer, Operation, Settlement, StoreError, StoreErrorKind};

/// A guard of risky actions: a cheap clone of one shared state.
///
/// Leases, freezes and records are in its store, under its name: two cooldowns of one name on one store are one.
pub struct Cooldown(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) policy: Policy,
    pub(crate) account: Account,
}

impl Clone for Cooldown {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Cooldown {
    /// Begins to set one up.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cooldown_layer::{Budget, Cooldown, MemoryStore, Protect, StoreFailure};
    ///
    /// let repairs = Cooldown::builder("repairs")
    ///     .budget(Budget::of(5).per(Duration::from_secs(15 * 60)))
    ///     .budget(Budget::of(2).per(Duration::from_secs(3600)).each_target())
    ///     .protect(["postgres", "redis", "clickhouse"])
    ///     .protect([Protect::glob("kube-system/**")])
    ///     .store(MemoryStore::new())
    ///     .on_store_failure(StoreFailure::Refuse)
    ///     .build()?;
    /// assert_eq!(repairs.name(), "repairs");
    /// # Ok::<(), cooldown_layer::InvalidCooldown>(())
    /// ```
    #[must_use]
    pub fn builder(name: impl Into<String>) -> CooldownBuilder {
        CooldownBuilder::new(name.into())
    }

    pub(crate) fn open(policy: Policy) -> Self {
        let bounds = policy.rules.store_failure != StoreFailure::Allow;
        let account = Account::new(policy.store.clock(), !policy.store.is_always_there(), bounds);
        Self(Arc::new(Shared { policy, account }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.policy.name
    }

    /// May this action be taken? A lease says yes; take the action, then settle the lease.
    ///
    /// ```
    /// use cooldown_layer::{Action, Cooldown};
    ///
    /// # async fn restart() -> Result<(), std::io::Error> { Ok(()) }
    /// # tokio_test::block_on(async {
    /// let repairs = Cooldown::builder("repairs").build()?;
    /// let lease = repairs.request(Action::new("restart", "deployment/api")).await?;
    /// match restart().await {
    ///     Ok(_) => lease.succeeded().await,
    ///     Err(_) => lease.failed().await,
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Refused`], which says why with figures. A refusal takes nothing from any budget. In a dry run there is none.
    ///
    /// # Panics
    /// When the store has to wait and there is no Tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// When the future is dropped before it is ready, the units may or may not be spent; a lease that nobody holds
    /// then ends as failed after its time.
    pub async fn request(&self, action: Action) -> Result<Lease, Refused> {
        self.judge(action).await
    }

    /// Refuses everything until [`thaw`](Self::thaw), on every instance that shares the store.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use cooldown_layer::{Action, Cooldown, Reason};
    ///
    /// let repairs = Cooldown::builder("repairs").build()?;
    /// repairs.freeze("release night").await?;
    /// let refused = repairs.request(Action::new("restart", "api")).await.unwrap_err();
    /// assert!(matches!(refused.reason(), Reason::Frozen { reason, .. } if reason == "release night"));
    /// repairs.thaw().await?;
    /// repairs.request(Action::new("restart", "api")).await?.succeeded().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// When the store did not hear it, or the reason has over 1,024 bytes. This instance is frozen all the same in the
    /// first case, and tells the store with its next call.
    pub async fn freeze(&self, reason: impl Into<String>) -> Result<(), StoreError> {
        let reason: String = reason.into();
        if reason.len() > 1024 {
            let what = format!("a reason of {} bytes is not allowed; allowed: 1024", reason.len());
            return Err(StoreError::new(StoreErrorKind::Config, what));
        }
        let operation = Operation::Freeze {
            cooldown: self.shared_name(),
            reason: reason.clone(),
        };
        self.0.account.owe_freeze(Some(reason.clone()));
        self.0.account.run(&operation)?;
        observe::frozen(self.name(), Some(&Shown(&reason)));
        self.ask_store(Arc::new(operation)).await?;
        self.0.account.owe_freeze(None);
        Ok(())
    }

    /// Ends every freeze, that of an operator and those of spent budgets. The units in a window still count.
    ///
    /// # Errors
    /// When the store did not hear it: nothing is thawed then.
    pub async fn thaw(&self) -> Result<(), StoreError> {
        let operation = Arc::new(Operation::Thaw {
            cooldown: self.shared_name(),
        });
        self.ask_store(operation.clone()).await?;
        self.0.account.owe_freeze(None);
        self.0.account.run(&operation)?;
        observe::frozen(self.name(), None);
        Ok(())
    }

    /// What stands in the budgets that count every action, and whether it is frozen.
    ///
    /// When the store gives no answer, this instance tells what it knows itself, and [`Status::fault`] why.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use cooldown_layer::{Action, Cooldown};
    ///
    /// let repairs = Cooldown::builder("repairs").build()?;
    /// let lease = repairs.request(Action::new("restart", "api")).await?;
    /// let status = repairs.status().await;
    /// assert_eq!((status.budgets[0].used, status.budgets[0].of, status.open_leases), (1, 5, 1));
    /// assert!(status.frozen.is_none());
    /// # lease.succeeded().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn status(&self) -> Status {
        self.look(None).await
    }

    /// What stands in the budgets that count this action. Otherwise as [`status`](Self::status).
    pub async fn status_of(&self, action: &Action) -> Status {
        self.look(Some(action)).await
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.0.policy.name.clone()
    }

    pub(crate) fn owe(&self, settlement: Settlement) {
        self.0.account.owe(settlement);
    }

    /// Tells the store what it has not heard yet. What fails stays owed.
    pub(crate) async fn pay(&self) {
        let _ = self.pay_debts().await;
    }

    pub(crate) async fn pay_debts(&self) -> Result<(), StoreError> {
        let account = &self.0.account;
        let Some(debts) = account.debts() else { return Ok(()) };
        for payment in account.payments(&self.0.policy.name, &debts) {
            let ends_leases = matches!(payment, Operation::Settle(_));
            match self.ask_store(Arc::new(payment)).await {
                // The store is there, and one key of it is spoilt. That must not stop every decision; the leases end by
                // their time.
                Err(error) if ends_leases && error.kind() == StoreErrorKind::WrongType => {}
                other => drop(other?),
            }
        }
        account.paid(&debts);
        Ok(())
    }

    pub(crate) async fn ask_store(&self, operation: Arc<Operation>) -> Result<Answer, StoreError> {
        let policy = &self.0.policy;
        let limit = policy.rules.store_timeout;
        let answer = within(limit, policy.store.run(operation)).await.unwrap_or_else(|| {
            let what = format!("no answer from the {} store in {limit:?}", policy.store.name());
            Err(StoreError::new(StoreErrorKind::TimedOut, what))
        });
        if let Err(error) = &answer {
            observe::store_error(&policy.name, policy.store.name(), error);
        }
        answer
    }
}

impl fmt::Debug for Cooldown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooldown")
            .field("name", &self.name())
            .field("budgets", &self.0.policy.budget_texts)
            .field("store", &self.0.policy.store.name())
            .finish_non_exhaustive()
    }
}
