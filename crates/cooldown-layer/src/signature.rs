//! What makes two anomalies the same: four names, and the key that is made of them.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The names by which an anomaly is known again.
///
/// | part | aliases that [`Signature::from_labels`] takes too |
/// |---|---|
/// | `alert_name` | `alertname` |
/// | `error_type` | `reason` |
/// | `namespace` | |
/// | `service` | `job` |
///
/// ```
/// use cooldown_layer::Signature;
///
/// let signature = Signature::new("HighErrorRate").error_type("OOMKilled").namespace("shop").service("api");
/// assert_eq!(signature.key().to_string(), "5f8336146241eda5");
///
/// let labels = [("alertname", "HighErrorRate"), ("reason", "OOMKilled"), ("namespace", "shop"), ("job", "api")];
/// assert_eq!(Signature::from_labels(labels).key(), signature.key());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Signature {
    alert_name: String,
    error_type: String,
    namespace: String,
    service: String,
}

impl Signature {
    /// One with this alert name; the other parts are empty.
    #[must_use]
    pub fn new(alert_name: impl Into<String>) -> Self {
        Self {
            alert_name: alert_name.into(),
            ..Self::default()
        }
    }

    /// Which kind of error it was.
    #[must_use]
    pub fn error_type(mut self, error_type: impl Into<String>) -> Self {
        self.error_type = error_type.into();
        self
    }

    /// Where it was.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Which service it was.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// Picks the four parts out of a set of labels and leaves the others.
    ///
    /// A part's own name wins over its alias; an empty value counts as absent.
    #[must_use]
    pub fn from_labels<N: AsRef<str>, V: AsRef<str>>(labels: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut own = Self::default();
        let mut alias = Self::default();
        for (name, value) in labels {
            let slot = match name.as_ref() {
                "alert_name" => &mut own.alert_name,
                "alertname" => &mut alias.alert_name,
                "error_type" => &mut own.error_type,
                "reason" => &mut alias.error_type,
                "namespace" => &mut own.namespace,
                "service" => &mut own.service,
                "job" => &mut alias.service,
                _ => continue,
            };
            value.as_ref().clone_into(slot);
        }
        let pick = |own: String, alias: String| if own.is_empty() { alias } else { own };
        Self {
            alert_name: pick(own.alert_name, alias.alert_name),
            error_type: pick(own.error_type, alias.error_type),
            namespace: own.namespace,
            service: pick(own.service, alias.service),
        }
    }

    /// The first 64 bits of SHA-256 over the canonical JSON of the four parts.
    ///
    /// The JSON is what Python's `json.dumps(parts, sort_keys=True)` writes, so that keys agree with deployments that
    /// make theirs so.
    #[must_use]
    pub fn key(&self) -> AnomalyKey {
        let digest = Sha256::digest(self.canonical().as_bytes());
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        AnomalyKey(u64::from_be_bytes(head))
    }

    fn canonical(&self) -> String {
        let parts = [
            ("alert_name", &self.alert_name),
            ("error_type", &self.error_type),
            ("namespace", &self.namespace),
            ("service", &self.service),
        ];
        let mut json = String::from("{");
        for (index, (name, value)) in parts.into_iter().enumerate() {
            if index > 0 {
                json.push_str(", ");
            }
            json.push('"');
            json.push_str(name);
            json.push_str("\": \"");
            value.chars().for_each(|c| escape(c, &mut json));
            json.push('"');
        }
        json.push('}');
        json
    }
}

/// Everything outside the printable ASCII characters as `\uXXXX`, in UTF-16 units, with JSON's short forms.
fn escape(c: char, json: &mut String) {
    match c {
        '"' => json.push_str("\\\""),
        '\\' => json.push_str("\\\\"),
        '\n' => json.push_str("\\n"),
        '\r' => json.push_str("\\r"),
        '\t' => json.push_str("\\t"),
        '\u{8}' => json.push_str("\\b"),
        '\u{c}' => json.push_str("\\f"),
        ' '..='~' => json.push(c),
        _ => c
            .encode_utf16(&mut [0; 2])
            .iter()
            .for_each(|unit| json.push_str(&["\\u", &format!("{unit:04x}")].concat())),
    }
}

/// The key of an anomaly: 16 hex digits. See [`Signature`] for an example.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AnomalyKey(u64);

impl From<&Signature> for AnomalyKey {
    fn from(signature: &Signature) -> Self {
        signature.key()
    }
}

impl From<Signature> for AnomalyKey {
    fn from(signature: Signature) -> Self {
        signature.key()
    }
}

impl FromStr for AnomalyKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let fits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
        if !fits {
            return Err(InvalidKey(()));
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidKey(()))
    }
}

impl fmt::Display for AnomalyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for AnomalyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnomalyKey({self})")
    }
}

/// The text is not an [`AnomalyKey`].
///
/// ```
/// let error = "5F83".parse::<cooldown_layer::AnomalyKey>().unwrap_err();
/// assert_eq!(error.to_string(), "an anomaly key is 16 lower-case hex digits");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKey(());

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an anomaly key is 16 lower-case hex digits")
    }
}

impl std::error::Error for InvalidKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_agree_with_python() {
        // json.dumps(d, sort_keys=True), then hashlib.sha256(..).hexdigest()[:16]
        let plain = Signature::new("HighErrorRate")
            .error_type("OOMKilled")
            .namespace("shop")
            .service("api");
        let wild = Signature::new("Größe \"x\"\\\n\t\u{7f}\u{1}\u{1F600}\u{2028}/")
            .namespace("ns")
            .service("é");
        assert_eq!(plain.key().to_string(), "5f8336146241eda5");
        assert_eq!(Signature::default().key().to_string(), "c0a178b83e27c095");
        assert_eq!(wild.key().to_string(), "76cd404dcad543e7");
        assert!(wild.canonical().contains(r"\ud83d\ude00\u2028/"));
    }

    #[test]
    fn a_parts_own_name_wins_over_its_alias() {
        let labels = [
            ("alertname", "b"),
            ("alert_name", "a"),
            ("job", "j"),
            ("service", ""),
            ("pod", "p"),
        ];
        assert_eq!(Signature::from_labels(labels), Signature::new("a").service("j"));
    }

    #[test]
    fn a_key_reads_back_what_it_shows() {
        let key = Signature::new("x").key();
        assert_eq!(key.to_string().parse(), Ok(key));
        for bad in ["", "5f83", "5F8336146241EDA5", "+f8336146241eda5", "5f8336146241eda55"] {
            assert!(bad.parse::<AnomalyKey>().is_err(), "{bad}");
        }
    }
}
