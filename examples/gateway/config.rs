//! What the gateway is to do: its providers, their circuits and limits, and what to answer when none of them can.

mod read;
mod source;
mod table;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Uri};
use fusebox::concurrency::Dismiss;
use fusebox::core::Opened;
use fusebox::prelude::{Circuit, Limit};
use rustls::RootCertStore;

pub(crate) use self::source::ConfigError;
use crate::demo::DemoProvider;
use crate::strategy::Strategy;
use crate::token::Token;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_token: Option<Token>,
    /// How long calls under way may take to end after Ctrl-C.
    pub(crate) drain: Duration,
    /// Which of the providers that may be asked is.
    pub(crate) strategy: Strategy,
    /// How long a provider that comes back takes to get its whole share.
    pub(crate) slow_start: Duration,
    /// The first is the primary.
    pub(crate) providers: Vec<Provider>,
    pub(crate) fallback: Fallback,
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    /// Where its API begins; `/chat/completions` is put behind it.
    pub(crate) url: Uri,
    pub(crate) api_key: Option<HeaderValue>,
    /// Whom to trust for an https address, in place of the public authorities.
    pub(crate) roots: Option<Arc<RootCertStore>>,
    /// The same as text, for the health probe.
    pub(crate) ca_pem: Option<Arc<[u8]>>,
    /// The models that it serves; `*`: any.
    pub(crate) serves: Vec<String>,
    /// How the models that are asked for are called there; `*` for any other. Without a word: by the same name.
    pub(crate) models: BTreeMap<String, String>,
    /// For the strategy `weighted`.
    pub(crate) weight: u32,
    pub(crate) health: Option<HealthCheck>,
    /// How long the head of an answer may take, and each pause in its body.
    pub(crate) timeout: Duration,
    pub(crate) circuit: Circuit,
    /// Who waits for a slot is sent on to the next provider as soon as the circuit opens.
    pub(crate) limit: Limit<WhenOpen>,
}

/// Dismisses those who wait when a circuit opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WhenOpen(pub(crate) Circuit);

impl Dismiss for WhenOpen {
    type Dismissal = Opened;

    fn dismissal(&self) -> Opened {
        self.0.opened()
    }
}

/// How its health is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    pub(crate) url: String,
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) unhealthy_after: u32,
    pub(crate) healthy_after: u32,
}

#[derive(Debug)]
pub(crate) struct Fallback {
    pub(crate) cache_entries: u64,
    pub(crate) max_age: Duration,
    pub(crate) rules: Arc<[Rule]>,
    pub(crate) message: Arc<str>,
}

/// A short answer to prompts that contain a word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// In lower case: prompts are looked at without regard to case.
    pub(crate) contains: String,
    pub(crate) answer: String,
}

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const DRAIN: Duration = Duration::from_secs(10);
const SLOW_START: Duration = Duration::from_secs(30);
const MESSAGE: &str = "I cannot reach any of my models right now. Please try again in a minute.";

impl Default for Fallback {
    fn default() -> Self {
        Self {
            cache_entries: 1_000,
            max_age: Duration::from_mins(10),
            rules: Arc::new([]),
            message: MESSAGE.into(),
        }
    }
}

impl Config {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new(format!("{name}: cannot be read: {error}")))?;
        read::config(&name, &text, |variable| std::env::var(variable).ok())
    }

    /// The gateway with its built-in providers. Their circuits are quick, so that one can watch them.
    ///
    /// # Errors
    ///
    /// None, unless the numbers below are wrong.
    pub(crate) fn demo(providers: &[DemoProvider]) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let provider = |demo: &DemoProvider| -> Result<Provider, Box<dyn std::error::Error + Send + Sync>> {
            let circuit = Circuit::builder(demo.name)
                .consecutive_failures(3)
                .failure_rate_above(0.5)
                .slow_call_rate_above(0.5, Duration::from_secs(1))
                .min_calls(5)
                .open_for(Duration::from_secs(5))
                .trials(2)
                .stamp_failures(true)
                .build()?;
            let limit = Limit::fixed(16)
                .name(demo.name)
                .queue(32, Duration::from_millis(500))
                .dismiss_when(WhenOpen(circuit))
                .build()?;
            Ok(Provider {
                name: demo.name.to_owned(),
                url: format!("http://{}/v1", demo.address).parse()?,
                api_key: None,
                roots: None,
                ca_pem: None,
                serves: vec!["demo".into(), "*".into()],
                models: BTreeMap::new(),
                weight: 1,
                health: Some(HealthCheck {
                    url: format!("http://{}/healthz", demo.address),
                    every: Duration::from_secs(2),
                    timeout: Duration::from_secs(1),
                    unhealthy_after: 2,
                    healthy_after: 1,
                }),
                timeout: Duration::from_secs(3),
                circuit,
                limit,
            })
        };
        let rule = |contains: &str, answer: &str| Rule {
            contains: contains.to_owned(),
            answer: answer.to_owned(),
        };
        let rules = vec![
            rule(
                "fuse",
                "A fuse breaks a circuit before the wire burns. (Answered by a rule: no model is reachable.)",
            ),
            rule(
                "hello",
                "Hello! My models are away, but I am still here. (Answered by a rule.)",
            ),
        ];
        Ok(Self {
            listen: LISTEN,
            admin_token: None,
            drain: DRAIN,
            strategy: Strategy::InOrder,
            slow_start: Duration::from_secs(5),
            providers: providers.iter().map(provider).collect::<Result<_, _>>()?,
            fallback: Fallback {
                rules: rules.into(),
                ..Fallback::default()
            },
        })
    }
}
