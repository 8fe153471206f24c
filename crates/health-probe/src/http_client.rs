//! The client behind an HTTP probe.

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls::crypto::ring;

use crate::authorities;
use crate::build_error::BuildError;

pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// A client that makes a connection for each check: one that is kept would go on working when new ones no longer do.
///
/// Trusts the roots of Mozilla's list, or instead of them those in `authorities` (PEM).
pub(crate) fn client(authorities: &[Vec<u8>]) -> Result<HttpClient, BuildError> {
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::new("tls", error, "this is a fault of the crate rustls"))?;
    let config = if authorities.is_empty() {
        config.with_webpki_roots()
    } else {
        config.with_root_certificates(authorities::store(authorities)?)
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_all_versions()
        .build();
    Ok(Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector))
}
