//! From the text of a file to a [`Config`]: names, ranges, and what must fit together.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Uri};
use fusebox::prelude::{Circuit, Limit, Window};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::source::{ConfigError, Field, Place, Source};
use super::table::{CallsOrTime, Table};
use super::{Config, DRAIN, Fallback, HealthCheck, LISTEN, MESSAGE, Provider, Rule, SLOW_START, WhenOpen};
use crate::strategy::Strategy;
use crate::token::Token;

const YEAR: Duration = Duration::from_hours(365 * 24);
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
const MAX_PROVIDERS: usize = 16;

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a whole file. `variables` is the environment.
pub(super) fn config(
    name: &str,
    text: &str,
    variables: impl Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let mut file = Source { name, text }.parse()?;
    let listen = listen(&mut file)?;
    let admin_token = admin_token(&mut file, &variables)?;
    let drain = or(file.time("drain", Duration::ZERO..=HOUR)?, DRAIN);
    let strategy = strategy(&mut file)?;
    let slow_start = or(file.time("slow_start", Duration::ZERO..=HOUR)?, SLOW_START);
    let providers = providers(&mut file, &variables)?;
    let fallback = fallback(file.table("fallback")?.named("fallback"))?;
    file.done()?;
    Ok(Config {
        listen,
        admin_token,
        drain,
        strategy,
        slow_start,
        providers,
        fallback,
    })
}

fn strategy(file: &mut Table<'_>) -> Result<Strategy, ConfigError> {
    let Some(written) = file.text("strategy")? else {
        return Ok(Strategy::InOrder);
    };
    let wrong = || written.wrong(format!("is no strategy; write one of {}", Strategy::names()));
    written.value.parse().map_err(|()| wrong())
}

fn or<T>(field: Option<Field<'_, T>>, default: T) -> T {
    field.map_or(default, |field| field.value)
}

fn listen(file: &mut Table<'_>) -> Result<SocketAddr, ConfigError> {
    let Some(written) = file.text("listen")? else {
        return Ok(LISTEN);
    };
    let address = written.convert(|text| {
        text.parse()
            .map_err(|_| "is no address to listen on; write it as \"127.0.0.1:8080\" or \"[::1]:8080\"")
    })?;
    Ok(address.value)
}

fn admin_token(file: &mut Table<'_>, variables: Variables<'_>) -> Result<Option<Token>, ConfigError> {
    let here = file.text("admin_token")?;
    let elsewhere = file.text("admin_token_env")?;
    let (token, field) = match (here, elsewhere) {
        (None, None) => return Ok(None),
        (Some(_), Some(field)) => return Err(field.wrong("stands beside admin_token; give only one of them")),
        (Some(field), None) => (field.value.clone(), field),
        (None, Some(field)) => (variable(&field, variables)?, field),
    };
    Token::new(&token)
        .map(Some)
        .map_err(|problem| field.place().wrong_secret(problem))
}

fn variable(field: &Field<'_, String>, variables: Variables<'_>) -> Result<String, ConfigError> {
    let found = variables(&field.value).filter(|value| !value.is_empty());
    found.ok_or_else(|| field.wrong("names an environment variable that is not set; set it, or remove this line"))
}

fn providers(file: &mut Table<'_>, variables: Variables<'_>) -> Result<Vec<Provider>, ConfigError> {
    let tables = file.tables("provider")?;
    if tables.is_empty() || tables.len() > MAX_PROVIDERS {
        let problem = format!(
            "there are {} providers; write 1 to {MAX_PROVIDERS}, each as [[provider]]",
            tables.len()
        );
        return Err(file.wrong(problem));
    }
    let mut providers: Vec<Provider> = Vec::new();
    for table in tables {
        provider(table.named("provider"), variables, &mut providers)?;
    }
    Ok(providers)
}

fn provider(mut table: Table<'_>, variables: Variables<'_>, others: &mut Vec<Provider>) -> Result<(), ConfigError> {
    let Some(name) = table.text("name")? else {
        return Err(table.wrong("name is missing; give it one, for instance name = \"openai\""));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.value.chars().all(plain) || name.value.len() > 64 {
        return Err(name.wrong("is not allowed; use up to 64 letters, digits, '-', '_' and '.'"));
    }
    if others.iter().any(|other| other.name == name.value) {
        return Err(name.wrong("is the name of another provider too; give each a name of its own"));
    }
    let name = name.value;
    let mut table = table.named(&format!("provider \"{name}\""));
    let Some(url) = table.text("url")? else {
        return Err(table.wrong("url is missing; write for instance url = \"https://api.openai.com/v1\""));
    };
    let url = url.convert(|url| base(url))?.value;
    let api_key = match table.text("api_key_env")? {
        None => None,
        Some(field) => Some(api_key(&field, variables)?),
    };
    let (roots, ca_pem) = match table.text("ca_file")? {
        None => (None, None),
        Some(field) => {
            let (roots, pem) = roots(&field)?;
            (Some(roots), Some(pem))
        }
    };
    let timeout = or(table.time("timeout", MS..=HOUR)?, Duration::from_secs(30));
    let models = table.texts("models")?;
    let serves = match table.names("serves")? {
        Some(serves) => serves,
        // Who says how models are called there has said which ones there are.
        None if models.is_empty() => vec!["*".to_owned()],
        None => models.keys().cloned().collect(),
    };
    let weight = or(table.whole("weight", 1..=1_000_u32)?, 1);
    let health = match table.given("health")? {
        None => None,
        Some(health) => Some(health_check(&url, health.named(&format!("health \"{name}\"")))?),
    };
    let circuit = circuit(&name, table.table("circuit")?.named(&format!("circuit \"{name}\"")))?;
    let limit = limit(
        &name,
        circuit,
        table.table("limit")?.named(&format!("limit \"{name}\"")),
    )?;
    table.done()?;
    others.push(Provider {
        name,
        url,
        api_key,
        roots,
        ca_pem,
        serves,
        models,
        weight,
        health,
        timeout,
        circuit,
        limit,
    });
    Ok(())
}

fn base(url: &str) -> Result<Uri, &'static str> {
    let wrong = "is no base URL; write it as \"https://api.openai.com/v1\", http or https, without a query";
    let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| wrong)?;
    let scheme_is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let has_user = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    if has_user {
        return Err("has a user in it, which is not sent; put the key into the variable that api_key_env names");
    }
    if scheme_is_known && has_host && uri.query().is_none() {
        Ok(uri)
    } else {
        Err(wrong)
    }
}

fn api_key(field: &Field<'_, String>, variables: Variables<'_>) -> Result<HeaderValue, ConfigError> {
    let key = variable(field, variables)?;
    let header = HeaderValue::try_from(format!("Bearer {key}"));
    let mut header = header.map_err(|_| field.wrong("names a variable whose value cannot stand in a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn roots(field: &Field<'_, String>) -> Result<(Arc<RootCertStore>, Arc<[u8]>), ConfigError> {
    let cannot = |error: &dyn Display| field.wrong(format!("cannot be used: {error}; name a file of PEM certificates"));
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(&field.value).map_err(|error| cannot(&format!("I/O error: {error}")))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = roots.add(certificate.map_err(|error| cannot(&error))?);
        added.map_err(|error| cannot(&error))?;
    }
    if roots.is_empty() {
        return Err(cannot(&"it holds no certificate"));
    }
    Ok((Arc::new(roots), pem.into()))
}

/// Where the fields stand that a builder of the library may complain about.
struct Places<'a>(BTreeMap<&'static str, Place<'a>>);

impl<'a> Places<'a> {
    fn note<T>(&mut self, field: &'static str, value: Option<&Field<'a, T>>) {
        if let Some(value) = value {
            self.0.insert(field, value.place().clone());
        }
    }
}

fn circuit(name: &str, mut table: Table<'_>) -> Result<Circuit, ConfigError> {
    let mut places = Places(BTreeMap::new());
    // The status page tells the time of the last failure, whatever the rules.
    let mut builder = Circuit::builder(name).stamp_failures(true);

    let consecutive = table.whole("consecutive_failures", 1..=32_767_u32)?;
    places.note("consecutive_failures", consecutive.as_ref());
    if let Some(n) = &consecutive {
        builder = builder.consecutive_failures(n.value);
    }
    let rate = table.share("failure_rate")?;
    places.note("failure_rate", rate.as_ref());
    if let Some(rate) = &rate {
        builder = builder.failure_rate_above(rate.value);
    }
    let slow_rate = table.share("slow_rate")?;
    let slow_after = table.time("slow_after", MS..=HOUR)?;
    places.note("slow_call_rate", slow_rate.as_ref());
    match (&slow_rate, &slow_after) {
        (Some(rate), Some(after)) => builder = builder.slow_call_rate_above(rate.value, after.value),
        (Some(rate), None) => return Err(rate.wrong("needs slow_after beside it: from when on is a call slow?")),
        (None, Some(after)) => return Err(after.wrong("needs slow_rate beside it: which share of slow calls trips?")),
        (None, None) => {}
    }
    let window = table.whole_or_time("window", 1..=1_000_000, MS..=YEAR)?;
    let min_calls = table.whole("min_calls", 1..=1_000_000_u32)?;
    if (consecutive.is_some() && rate.is_none() && slow_rate.is_none())
        && let Some(unused) = window
            .as_ref()
            .map(Field::place)
            .or(min_calls.as_ref().map(Field::place))
    {
        return Err(unused.wrong("is used by no rule here; add failure_rate or slow_rate, or remove this line"));
    }
    places.note("window", window.as_ref());
    if let Some(window) = window {
        builder = builder.window(match window.value {
            CallsOrTime::Calls(calls) => Window::calls(calls),
            CallsOrTime::Time(span) => Window::time(span),
        });
    }
    places.note("min_calls", min_calls.as_ref());
    if let Some(min) = min_calls {
        builder = builder.min_calls(min.value);
    }
    let open_for = table.time("open_for", MS..=YEAR)?;
    places.note("open_for", open_for.as_ref());
    if let Some(open_for) = open_for {
        builder = builder.open_for(open_for.value);
    }
    let trials = table.whole("trials", 1..=511_u32)?;
    places.note("trials", trials.as_ref());
    if let Some(trials) = trials {
        builder = builder.trials(trials.value);
    }
    // What the checks above do not know, the builder does: its word is said where the field stands.
    let built = builder.build().map_err(|error| match places.0.get(error.field()) {
        Some(place) => place.wrong(error.problem()),
        None => table.wrong(format!("{} = {} {}", error.field(), error.value(), error.problem())),
    })?;
    table.done()?;
    Ok(built)
}

fn limit(name: &str, circuit: Circuit, mut table: Table<'_>) -> Result<Limit<WhenOpen>, ConfigError> {
    let in_flight = or(table.whole("max_in_flight", 1..=1_000_000_u32)?, 32);
    let queue = or(table.whole("queue", 1..=1_000_000_u32)?, 64);
    let max_wait = or(table.time("max_wait", MS..=HOUR)?, Duration::from_secs(2));
    let builder = Limit::fixed(in_flight)
        .name(name)
        .queue(queue, max_wait)
        .dismiss_when(WhenOpen(circuit));
    let built = builder.build().map_err(|error| table.wrong(error.to_string()))?;
    table.done()?;
    Ok(built)
}

fn health_check(base: &Uri, mut table: Table<'_>) -> Result<HealthCheck, ConfigError> {
    let path = match table.text("path")? {
        None => "/healthz".to_owned(),
        Some(path) if path.value.starts_with('/') => path.value,
        Some(path) => return Err(path.wrong("is no path on the provider's host; write for instance \"/healthz\"")),
    };
    let (scheme, authority) = (base.scheme_str().unwrap_or("http"), base.authority());
    let check = HealthCheck {
        url: format!(
            "{scheme}://{}{path}",
            authority.map_or("", |authority| authority.as_str())
        ),
        every: or(table.time("every", MS..=HOUR)?, Duration::from_secs(10)),
        timeout: or(table.time("timeout", MS..=HOUR)?, Duration::from_secs(2)),
        unhealthy_after: or(table.whole("unhealthy_after", 1..=1_000_u32)?, 3),
        healthy_after: or(table.whole("healthy_after", 1..=1_000_u32)?, 2),
    };
    table.done()?;
    Ok(check)
}

fn fallback(mut table: Table<'_>) -> Result<Fallback, ConfigError> {
    let cache_entries = or(table.whole("cache_entries", 1..=1_000_000_u64)?, 1_000);
    let max_age = or(table.time("max_age", MS..=YEAR)?, Duration::from_mins(10));
    let message = or(table.text("message")?, MESSAGE.to_owned());
    let mut rules = Vec::new();
    for (index, rule) in table.tables("rule")?.into_iter().enumerate() {
        let mut rule = rule.named(&format!("fallback rule {}", index + 1));
        let contains = rule.text("contains")?;
        let answer = rule.text("answer")?;
        let (Some(contains), Some(answer)) = (contains, answer) else {
            return Err(rule.wrong("contains or answer is missing; write both, for instance contains = \"price\""));
        };
        rule.done()?;
        rules.push(Rule {
            contains: contains.value.to_lowercase(),
            answer: answer.value,
        });
    }
    table.done()?;
    Ok(Fallback {
        cache_entries,
        max_age,
        rules: rules.into(),
        message: message.into(),
    })
}

#[cfg(test)]
mod tests {
    use fusebox::prelude::Policy;

    use super::*;

    fn read(text: &str) -> Config {
        config("x.toml", text, |name| (name == "KEY").then(|| "secret".to_owned())).unwrap()
    }

    #[test]
    fn what_a_file_says_is_what_the_gateway_does() {
        let config = read(
            r#"
            listen = "[::1]:9000"
            drain = "1m"
            [[provider]]
            name = "a"
            url = "https://example.org/v1"
            api_key_env = "KEY"
            timeout = "1.5s"
            models = { "x" = "y" }
            circuit = { consecutive_failures = 7, failure_rate = 0.25, window = "1m", min_calls = 20, slow_rate = 0.75, slow_after = "3s", open_for = "90s", trials = 4 }
            limit = { max_in_flight = 3, queue = 5, max_wait = "10ms" }
            [fallback]
            cache_entries = 7
            max_age = "1h"
            message = "Sorry"
            rule = [{ contains = "Price", answer = "Five." }]
            "#,
        );
        assert_eq!(
            (config.listen, config.drain),
            ("[::1]:9000".parse().unwrap(), Duration::from_mins(1))
        );
        let provider = &config.providers[0];
        assert_eq!(provider.url.to_string(), "https://example.org/v1");
        assert_eq!(provider.api_key.as_ref().unwrap(), "Bearer secret");
        assert_eq!(provider.timeout, Duration::from_millis(1_500));
        assert_eq!(provider.models["x"], "y");
        let policy = Policy::new()
            .consecutive_failures(7)
            .failure_rate_above(0.25)
            .window(Window::time(Duration::from_mins(1)))
            .min_calls(20)
            .slow_call_rate_above(0.75, Duration::from_secs(3))
            .open_for(Duration::from_secs(90))
            .trials(4)
            .stamp_failures(true);
        assert_eq!(*provider.circuit.policy(), policy);
        assert_eq!(provider.limit.limit(), 3);
        assert_eq!(
            (config.fallback.cache_entries, config.fallback.max_age),
            (7, Duration::from_hours(1))
        );
        assert_eq!(&*config.fallback.message, "Sorry");
        let rule = Rule {
            contains: "price".to_owned(),
            answer: "Five.".to_owned(),
        };
        assert_eq!(*config.fallback.rules, [rule]);
    }

    #[test]
    fn what_a_file_leaves_out_is_the_default() {
        let config = read("[[provider]]\nname = \"a\"\nurl = \"http://example.org/v1\"\n");
        assert_eq!(config.listen, LISTEN);
        assert!(config.admin_token.is_none() && config.providers[0].api_key.is_none());
        let plain = Circuit::builder("plain").stamp_failures(true).build().unwrap();
        assert_eq!(config.providers[0].circuit.policy(), plain.policy());
        assert_eq!(config.providers[0].limit.limit(), 32);
        assert!(config.fallback.rules.is_empty());
    }

    #[test]
    fn no_secret_is_printed_with_a_configuration() {
        let config = read(
            "admin_token = \"correct-horse-battery\"\n\
             [[provider]]\nname = \"a\"\nurl = \"http://example.org/v1\"\napi_key_env = \"KEY\"\n",
        );
        let printed = format!("{config:?}");
        assert!(
            !printed.contains("correct-horse") && !printed.contains("secret"),
            "{printed}"
        );
    }
}
