//! The client behind an HTTP probe.

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

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
        config.with_root_certificates(store(authorities)?)
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

fn store(authorities: &[Vec<u8>]) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    for pem in authorities {
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(not_pem)?).map_err(not_pem)?;
            found = true;
        }
        if !found {
            return Err(not_pem("no certificate"));
        }
    }
    Ok(roots)
}

pub(crate) fn not_pem(problem: impl std::fmt::Display) -> BuildError {
    BuildError::new("ca_certificate", problem, "set it to certificates in PEM")
}
