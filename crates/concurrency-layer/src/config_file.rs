//! A limit as a configuration file writes it.

use serde::de::{Deserialize, Deserializer};

use crate::Limit;
use crate::line::Order;
use crate::policy::LimitBuilder;
use crate::span::Span;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    fixed: u32,
    name: Option<String>,
    queue: Option<WrittenQueue>,
    #[serde(default)]
    backpressure: bool,
    retry_after: Option<Span>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenQueue {
    max_waiting: u32,
    max_wait: Span,
    #[serde(default)]
    order: WrittenOrder,
}

#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenOrder {
    #[default]
    Fifo,
    Lifo,
}

/// Reads what the builder's functions are called; values are checked by [`build`](LimitBuilder::build).
///
/// ```
/// use concurrency_layer::LimitBuilder;
///
/// let builder: LimitBuilder = toml::from_str(
///     r#"
///     fixed = 3
///     name = "openai"
///     queue = { max_waiting = 100, max_wait = "2 s", order = "lifo" }
///     retry_after = "500 ms"
///     "#,
/// )?;
/// assert_eq!(builder.build()?.limit(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<'de> Deserialize<'de> for LimitBuilder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let mut builder = Limit::fixed(written.fixed);
        if let Some(name) = written.name {
            builder = builder.name(name);
        }
        if let Some(WrittenQueue {
            max_waiting,
            max_wait,
            order,
        }) = written.queue
        {
            builder = builder.queue(max_waiting, max_wait.0);
            builder.order = match order {
                WrittenOrder::Fifo => Order::Fifo,
                WrittenOrder::Lifo => Order::Lifo,
            };
        }
        builder.backpressure = written.backpressure;
        if let Some(retry_after) = written.retry_after {
            builder = builder.retry_after(retry_after.0);
        }
        Ok(builder)
    }
}
