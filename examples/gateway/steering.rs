//! Who may steer: reset a circuit, force it open, break a built-in provider.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use axum::middleware::Next;

use crate::answer;
use crate::token::Token;

/// The rule: clients on this machine may, all others need the token.
#[derive(Debug, Clone)]
pub(crate) struct Steering {
    token: Option<Arc<Token>>,
}

impl Steering {
    /// Nobody at all (and then there are no control routes) where other machines can reach the gateway and no token
    /// tells friend from stranger: behind a proxy or a container's network a stranger may look like this machine.
    pub(crate) fn new(listen: SocketAddr, token: Option<Token>) -> Option<Self> {
        (token.is_some() || is_loopback(listen.ip())).then(|| Self {
            token: token.map(Arc::new),
        })
    }

    fn admits(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let authorization = headers.get(header::AUTHORIZATION);
        let by_token = match (&self.token, authorization) {
            (Some(token), Some(authorization)) => token.is_in(authorization.as_bytes()),
            _ => false,
        };
        by_token || (is_loopback(peer) && !comes_from_a_web_page(headers))
    }
}

/// Lets a request through to the control routes, or answers `401`.
pub(crate) async fn guard(
    State(steering): State<Steering>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response<Body> {
    if steering.admits(peer.ip(), request.headers()) {
        return next.run(request).await;
    }
    let message = "only clients on this machine may steer without a token; send Authorization: Bearer <admin_token>";
    let mut response = answer::error(StatusCode::UNAUTHORIZED, "unauthorized", message);
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A page in a browser on this machine also comes from this machine. It gives itself away by its `Origin`, or, when its
/// name was made to point here, by a `Host` that is not this machine's.
fn comes_from_a_web_page(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let is_local = host
        .parse::<Uri>()
        .ok()
        .and_then(|host| host.host().map(names_this_machine))
        .unwrap_or(false);
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let foreign = origin.is_some_and(|origin| origin.strip_prefix(b"http://") != Some(host.as_bytes()));
    !is_local || foreign
}

fn names_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn admits(steering: &Steering, peer: &str, pairs: &[(&'static str, &str)]) -> bool {
        steering.admits(peer.parse().unwrap(), &headers(pairs))
    }

    #[test]
    fn a_client_on_this_machine_steers_without_a_token() {
        let steering = Steering::new("127.0.0.1:8080".parse().unwrap(), None).unwrap();
        for (peer, host) in [
            ("127.0.0.1", "127.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("::ffff:127.0.0.1", "localhost"),
        ] {
            assert!(admits(&steering, peer, &[("host", host)]), "{peer} {host}");
        }
        assert!(!admits(&steering, "192.168.0.7", &[("host", "127.0.0.1:8080")]));
    }

    #[test]
    fn a_client_elsewhere_needs_the_whole_token() {
        let steering = Steering::new("0.0.0.0:8080".parse().unwrap(), Some(Token::new(TOKEN).unwrap())).unwrap();
        let right = format!("Bearer {TOKEN}");
        assert!(admits(&steering, "192.168.0.7", &[("authorization", &right)]));
        assert!(!admits(
            &steering,
            "192.168.0.7",
            &[("authorization", "Bearer correct-horse")]
        ));
        assert!(!admits(&steering, "192.168.0.7", &[]));
    }

    #[test]
    fn without_a_token_nobody_steers_a_gateway_that_others_can_reach() {
        assert!(Steering::new("0.0.0.0:8080".parse().unwrap(), None).is_none());
        assert!(Steering::new("192.168.0.7:8080".parse().unwrap(), None).is_none());
    }

    #[test]
    fn a_web_page_in_a_browser_on_this_machine_does_not_steer() {
        let steering = Steering::new("127.0.0.1:8080".parse().unwrap(), None).unwrap();
        let own = [("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")];
        assert!(admits(&steering, "127.0.0.1", &own));
        let other_page = [("host", "127.0.0.1:8080"), ("origin", "https://example.org")];
        assert!(!admits(&steering, "127.0.0.1", &other_page));
        let rebound_name = [("host", "example.org:8080"), ("origin", "http://example.org:8080")];
        assert!(!admits(&steering, "127.0.0.1", &rebound_name));
    }
}
