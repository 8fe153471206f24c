//! A store by its URL, as a configuration names it.

use std::sync::Arc;

use crate::memory::MemoryStore;
use crate::store::{Store, StoreError, StoreErrorKind};

/// Opens the store that a URL names.
///
/// | URL | store | feature |
/// |---|---|---|
/// | `memory:` | [`MemoryStore`] | |
/// | `file:PATH` | `FileStore` at that path, relative or not | `file` |
/// | `redis://[USER:PASSWORD@]HOST[:PORT][/DB]` | `RedisStore` | `redis` |
/// | `rediss://..` | the same over TLS | `redis-tls` |
///
/// ```
/// let store = cooldown_layer::store::from_url("memory:")?;
/// assert_eq!(store.name(), "memory");
///
/// let error = cooldown_layer::store::from_url("postgres://db").map(|_| ()).unwrap_err();
/// assert_eq!(error.to_string(), "no store for \"postgres:\"; allowed: memory:, file:PATH, redis://.., rediss://..");
/// # Ok::<(), cooldown_layer::store::StoreError>(())
/// ```
///
/// # Errors
/// When the URL names no store, or one that this build does not have, or the file cannot be opened. A server is not
/// connected to before the first call.
pub fn from_url(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    // Only the scheme is ever shown: the rest may hold a password.
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryStore::new())),
        "file" if !rest.trim_start_matches("//").is_empty() => file(rest.strip_prefix("//").unwrap_or(rest)),
        "redis" | "rediss" | "valkey" | "valkeys" if rest.starts_with("//") => redis(url),
        _ => {
            let scheme = crate::action::Shown(scheme.get(..16).unwrap_or(scheme));
            let what = format!("no store for \"{scheme}:\"; allowed: memory:, file:PATH, redis://.., rediss://..");
            Err(StoreError::new(StoreErrorKind::Config, what))
        }
    }
}

#[cfg(feature = "file")]
fn file(path: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(crate::FileStore::open(path)?))
}

#[cfg(not(feature = "file"))]
fn file(_: &str) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::new(
        StoreErrorKind::Config,
        "file: needs the feature `file` of cooldown-layer",
    ))
}

#[cfg(feature = "redis")]
fn redis(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(crate::RedisStore::open(url)?))
}

#[cfg(not(feature = "redis"))]
fn redis(_: &str) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::new(
        StoreErrorKind::Config,
        "redis: needs the feature `redis` of cooldown-layer",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_names_no_store_is_an_error_without_its_secrets() {
        for url in [
            "",
            "memory",
            "memory:x",
            "file:",
            "file://",
            "redis:",
            "http://a:secret@b",
            "secret@x",
            "Memory:",
        ] {
            match from_url(url) {
                Ok(store) => assert_eq!((url, store.name()), ("memory", "memory")),
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Config, "{url}");
                    assert!(error.to_string().contains("allowed: memory:"), "{error}");
                    assert!(!format!("{error:?}").contains("a:secret"));
                }
            }
        }
    }

    #[test]
    fn a_redis_url_is_a_redis_store_or_names_the_feature() {
        match from_url("redis://127.0.0.1:1") {
            Ok(store) => assert_eq!(store.name(), "redis"),
            Err(error) => assert!(error.to_string().contains("feature `redis`")),
        }
        match from_url("rediss://127.0.0.1:1") {
            Ok(store) => assert!(cfg!(feature = "redis-tls") && store.name() == "redis"),
            Err(error) => assert!(error.to_string().contains("feature `redis")),
        }
    }
}
