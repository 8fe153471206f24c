//! The health protocol of gRPC.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::authorities;
use crate::build_error::BuildError;
use crate::check_error::CheckError;
use crate::grpc_session::{Session, Word};
use crate::observe;
use crate::probe::Probe;
use crate::redact::redact;

/// Asks a server by the gRPC health protocol, `grpc.health.v1.Health`.
///
/// ```no_run
/// use health_probe::{GrpcProbe, Probe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let search = GrpcProbe::check("http://10.0.0.7:50051").service("search.v1.Search").spawn()?;
/// let orders = GrpcProbe::watch("https://orders.internal:50051").spawn()?;
/// # Ok(()) }
/// ```
///
/// | answer | is |
/// |---|---|
/// | `SERVING` | up |
/// | `NOT_SERVING`, `UNKNOWN`, `SERVICE_UNKNOWN` | a failure; down at once with [`watch`](Self::watch), or [if set](Self::down_at_once_on_not_serving) |
/// | status `UNIMPLEMENTED` | up, with one warning: the server answers, and does not know the protocol |
/// | any other status, no answer | a failure |
///
/// A server of plain HTTP/2 that answers 404 is, by gRPC's rules, `UNIMPLEMENTED` too.
pub struct GrpcProbe {
    url: String,
    service: String,
    watches: bool,
    not_serving_is_down: bool,
    authorities: Vec<Vec<u8>>,
    warned: AtomicBool,
    session: Mutex<Option<Session>>,
}

impl GrpcProbe {
    /// Calls `Check` each time, over a connection of its own: one that is kept would go on working when new ones no longer
    /// do. `url` is `http://` or `https://`, host and port, or `unix:` and the path of a socket.
    pub fn check(url: impl Into<String>) -> Self {
        Self::new(url.into(), false)
    }

    /// Keeps a connection with a `Watch` open between the checks, so that a server that goes down or comes back says so
    /// itself: a check follows at once. The checks on time go on over the same connection, for a server that is gone says
    /// nothing. Where `Watch` is not implemented there are just these.
    pub fn watch(url: impl Into<String>) -> Self {
        Self::new(url.into(), true)
    }

    fn new(url: String, watches: bool) -> Self {
        Self {
            url,
            service: String::new(),
            watches,
            not_serving_is_down: watches,
            authorities: Vec::new(),
            warned: AtomicBool::new(false),
            session: Mutex::new(None),
        }
    }

    /// Asks for this service. Default: the empty name, the server as a whole.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = name.into();
        self
    }

    /// Whether a server that itself says `NOT_SERVING` (or that it does not know the service) is down at once, without
    /// waiting for [`unhealthy_after`](crate::ProbeBuilder::unhealthy_after).
    #[must_use]
    pub const fn down_at_once_on_not_serving(mut self, at_once: bool) -> Self {
        self.not_serving_is_down = at_once;
        self
    }

    /// Trusts the certificates in `pem` instead of Mozilla's roots; one more each time.
    #[must_use]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    fn endpoint(&self) -> Result<Endpoint, BuildError> {
        let wrong = |allowed: &str| BuildError::new("url", format!("{:?}", redact(&self.url)), allowed);
        let allowed =
            "set it to http:// or https://, host and port, such as \"http://10.0.0.7:50051\", or to unix: and a path";
        let endpoint = Endpoint::from_shared(self.url.clone()).map_err(|_| wrong(allowed))?;
        let uri = endpoint.uri();
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong(allowed));
        }
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(wrong("leave out user and password"));
        }
        if uri.scheme_str() == Some("http") {
            return Ok(endpoint);
        }
        let tls = if self.authorities.is_empty() {
            ClientTlsConfig::new().with_webpki_roots()
        } else {
            // Tonic would take text without a certificate for no authority at all, and trust nobody.
            authorities::store(&self.authorities)?;
            ClientTlsConfig::new().ca_certificates(self.authorities.iter().map(Certificate::from_pem))
        };
        endpoint.tls_config(tls).map_err(authorities::not_pem)
    }

    async fn ask(&self) -> Result<(), CheckError> {
        // Taken out: what fails or is dropped on the way is not used again.
        let kept = self.session.lock().await.take();
        let mut session = if let Some(session) = kept {
            session
        } else {
            let endpoint = self.endpoint().map_err(CheckError::new)?;
            let channel: Channel = endpoint.connect().await.map_err(CheckError::new)?;
            Session::new(HealthClient::new(channel))
        };
        let word = session.check(self.request()).await;
        let verdict = self.judge(&word);
        if self.watches && !matches!(word, Word::Failed(_)) {
            *self.session.lock().await = Some(session);
        }
        verdict
    }

    fn request(&self) -> HealthCheckRequest {
        HealthCheckRequest {
            service: self.service.clone(),
        }
    }

    fn judge(&self, word: &Word) -> Result<(), CheckError> {
        match word {
            Word::Said(ServingStatus::Serving) => Ok(()),
            Word::Said(status) => {
                let error = CheckError::new(status.as_str_name());
                Err(if self.not_serving_is_down {
                    error.down_at_once()
                } else {
                    error
                })
            }
            Word::Unimplemented => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    observe::unimplemented(&self.target(), &self.service);
                }
                Ok(())
            }
            Word::Failed(status) => Err(failed(status)),
        }
    }

    /// Resolves when the server says something new, or breaks off.
    async fn told(&self) {
        let mut kept = self.session.lock().await;
        if let Some(session) = &mut *kept {
            if session.told(self.request()).await {
                return;
            }
            // It broke off: the next check makes a new connection.
            *kept = None;
            return;
        }
        drop(kept);
        std::future::pending::<()>().await;
    }
}

fn failed(status: &Status) -> CheckError {
    match status.code() {
        // Tonic's name for all that went wrong on the way; what it was stands in the source.
        Code::Unknown | Code::Unavailable => match std::error::Error::source(status) {
            Some(source) => CheckError::new(format!("{}: {}: {source}", status.code(), status.message())),
            None => CheckError::new(format!("{}: {}", status.code(), status.message())),
        },
        code => CheckError::new(format!("{code}: {}", status.message())),
    }
}

impl Probe for GrpcProbe {
    fn check(&self) -> impl Future<Output = Result<(), CheckError>> + Send {
        self.ask()
    }

    fn changed(&self) -> impl Future<Output = ()> + Send {
        self.told()
    }

    fn target(&self) -> String {
        let url = redact(&self.url);
        match &*self.service {
            "" => url,
            service => format!("{}/{service}", url.trim_end_matches('/')),
        }
    }

    fn validate(&self) -> Result<(), BuildError> {
        self.endpoint().map(drop)
    }
}

impl fmt::Debug for GrpcProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcProbe")
            .field("target", &self.target())
            .field("watches", &self.watches)
            .finish_non_exhaustive()
    }
}
