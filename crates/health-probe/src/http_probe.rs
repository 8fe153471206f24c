//! A request over HTTP.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty};

use crate::build_error::BuildError;
use crate::check_error::CheckError;
use crate::http_client::{HttpClient, client};
use crate::probe::Probe;
use crate::redact::redact;
use crate::status::Statuses;

const BODY_LIMIT: usize = 64 * 1024;
const LARGEST_BODY: usize = 16 * 1024 * 1024;

type Matches = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Makes a request over `http` or `https`, and looks at status and body.
///
/// ```no_run
/// use std::time::Duration;
/// use health_probe::{HttpProbe, Probe};
/// use state_core::Circuit;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let openai = Circuit::builder("openai").build()?;
/// let probe = HttpProbe::get("http://10.0.0.7/healthz")
///     .header("authorization", "Bearer 123")
///     .expect_status(200..=204)
///     .down_at_once_on(410)
///     .expect_body("ready")
///     .every(Duration::from_secs(10))
///     .drives(openai)
///     .spawn()?;
/// # Ok(()) }
/// ```
///
/// - Each check makes a connection of its own: one that is kept would go on working when new ones no longer do.
/// - Redirects are answers like any other, and not followed.
/// - The body is read to its end, or to the [limit](Self::body_limit), so a server that breaks off fails the check.
/// - `https` trusts Mozilla's roots, or [your own](Self::ca_certificate) instead; proxies from the environment are not
///   used.
/// - Addresses stand in names and logs without user, password and query. Values of headers never do.
#[derive(Clone)]
pub struct HttpProbe {
    method: Method,
    url: String,
    headers: HeaderMap,
    expected: Vec<Statuses>,
    down_at_once: Vec<Statuses>,
    body: Option<(String, Matches)>,
    body_limit: usize,
    authorities: Vec<Vec<u8>>,
    problem: Option<BuildError>,
    client: OnceLock<Result<HttpClient, BuildError>>,
}

impl HttpProbe {
    /// `GET` of `url`, which is absolute: `http://` or `https://`, host, and so on.
    pub fn get(url: impl Into<String>) -> Self {
        Self::request(Method::GET, url)
    }

    /// `HEAD` of `url`: status only.
    pub fn head(url: impl Into<String>) -> Self {
        Self::request(Method::HEAD, url)
    }

    /// A request of any method, without a body.
    pub fn request(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            expected: Vec::new(),
            down_at_once: Vec::new(),
            body: None,
            body_limit: BODY_LIMIT,
            authorities: Vec::new(),
            problem: None,
            client: OnceLock::new(),
        }
    }

    /// A header of the request, one more of that name if there is one; `host` for a virtual host. One that is none makes
    /// `spawn` fail.
    #[must_use]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName> + fmt::Debug + Clone,
        V: TryInto<HeaderValue>,
    {
        let shown = name.clone();
        if let (Ok(name), Ok(mut value)) = (name.try_into(), value.try_into()) {
            // Kept out of compression tables and debug output: it may be a token.
            value.set_sensitive(true);
            self.headers.append(name, value);
        } else {
            let allowed = "set it to a name of letters, digits and dashes, and a value without line breaks";
            self.problem = Some(BuildError::new("header", format!("{shown:?}"), allowed));
        }
        self
    }

    /// A status, or a range, that is up; one more each time. Default: 200 to 299.
    #[must_use]
    pub fn expect_status(mut self, statuses: impl Into<Statuses>) -> Self {
        self.expected.push(statuses.into());
        self
    }

    /// A status, or a range, that means down at once, without waiting for
    /// [`unhealthy_after`](crate::ProbeBuilder::unhealthy_after); one more each time.
    #[must_use]
    pub fn down_at_once_on(mut self, statuses: impl Into<Statuses>) -> Self {
        self.down_at_once.push(statuses.into());
        self
    }

    /// Text that must stand somewhere in the body.
    #[must_use]
    pub fn expect_body(self, text: impl Into<String>) -> Self {
        let text = text.into();
        let shown = format!("{text:?}");
        self.matching(shown, move |body| String::from_utf8_lossy(body).contains(&text))
    }

    /// A function that says whether the body is what it should be.
    #[must_use]
    pub fn expect_body_with(self, matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.matching("what was expected".to_owned(), matches)
    }

    fn matching(mut self, shown: String, matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.body = Some((shown, Arc::new(matches)));
        self
    }

    /// How many bytes of a body are read, 1 to 16777216. Default: 65536. Where the body matters, a longer one fails the
    /// check; else reading ends there.
    #[must_use]
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Trusts the certificates in `pem` instead of Mozilla's roots; one more each time.
    #[must_use]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(pem.into());
        self.client = OnceLock::new();
        self
    }

    fn client(&self) -> Result<&HttpClient, BuildError> {
        let client = self.client.get_or_init(|| client(&self.authorities));
        client.as_ref().map_err(Clone::clone)
    }

    fn uri(&self) -> Result<Uri, BuildError> {
        let wrong = |allowed: &str| BuildError::new("url", format!("{:?}", redact(&self.url)), allowed);
        let allowed = r#"write it with its scheme, such as "http://10.0.0.7:8080/healthz""#;
        let uri: Uri = self
            .url
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(&format!("{allowed} ({error})")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong(allowed));
        }
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(wrong("leave out user and password, and set a header `authorization`"));
        }
        Ok(uri)
    }

    fn statuses(&self) -> Result<(), BuildError> {
        for (field, statuses) in [
            ("expect_status", &self.expected),
            ("down_at_once_on", &self.down_at_once),
        ] {
            if let Some(wrong) = statuses.iter().find(|statuses| !statuses.is_sound()) {
                return Err(BuildError::new(field, wrong, "set it to statuses from 100 to 999"));
            }
        }
        let both = |down: &&Statuses| self.expected().iter().any(|up| up.overlap(**down));
        match self.down_at_once.iter().find(both) {
            Some(down) => Err(BuildError::new(
                "down_at_once_on",
                down,
                "set it to statuses that are not expected",
            )),
            None => Ok(()),
        }
    }

    fn expected(&self) -> &[Statuses] {
        const SUCCESS: [Statuses; 1] = [Statuses::SUCCESS];
        if self.expected.is_empty() {
            &SUCCESS
        } else {
            &self.expected
        }
    }

    async fn ask(&self) -> Result<(), CheckError> {
        let client = self.client().map_err(CheckError::new)?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri().map_err(CheckError::new)?;
        *request.headers_mut() = self.headers.clone();
        let response = client.request(request).await.map_err(CheckError::new)?;
        self.judge_status(response.status().as_u16())?;
        self.judge_body(response.into_body()).await
    }

    fn judge_status(&self, status: u16) -> Result<(), CheckError> {
        let among = |statuses: &[Statuses]| statuses.iter().any(|statuses| statuses.contain(status));
        if among(self.expected()) {
            return Ok(());
        }
        let error = CheckError::new(format!("status {status}"));
        Err(if among(&self.down_at_once) {
            error.down_at_once()
        } else {
            error
        })
    }

    async fn judge_body<B>(&self, mut body: B) -> Result<(), CheckError>
    where
        B: Body<Data = Bytes, Error: Into<crate::BoxError>> + Unpin,
    {
        let mut kept = Vec::new();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(CheckError::new)?.into_data() else {
                continue;
            };
            length += data.len();
            match &self.body {
                Some(_) if length > self.body_limit => {
                    let error = format!("the body is longer than {} bytes", self.body_limit);
                    return Err(CheckError::new(error));
                }
                Some(_) => kept.extend_from_slice(&data),
                None if length > self.body_limit => break,
                None => {}
            }
        }
        match &self.body {
            Some((shown, matches)) if !matches(&kept) => {
                Err(CheckError::new(format!("the body does not contain {shown}")))
            }
            _ => Ok(()),
        }
    }
}

impl Probe for HttpProbe {
    fn check(&self) -> impl Future<Output = Result<(), CheckError>> + Send {
        self.ask()
    }

    fn target(&self) -> String {
        redact(&self.url)
    }

    fn validate(&self) -> Result<(), BuildError> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        self.uri()?;
        self.statuses()?;
        if !(1..=LARGEST_BODY).contains(&self.body_limit) {
            return Err(BuildError::new(
                "body_limit",
                self.body_limit,
                "set it to 1 to 16777216",
            ));
        }
        if self.method == Method::HEAD && self.body.is_some() {
            return Err(BuildError::new(
                "expect_body",
                "set",
                "leave it out: an answer to HEAD has no body",
            ));
        }
        self.client().map(drop)
    }
}

impl fmt::Debug for HttpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProbe")
            .field("method", &self.method)
            .field("url", &redact(&self.url))
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}
