//! Authorities of one's own, for servers that no public one vouches for.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::build_error::BuildError;

/// The certificates in all of `authorities` (PEM), of which each must hold one at least.
pub(crate) fn store(authorities: &[Vec<u8>]) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    for pem in authorities {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(not_pem)?).map_err(not_pem)?;
        }
        if roots.len() == before {
            return Err(not_pem("none"));
        }
    }
    Ok(roots)
}

pub(crate) fn not_pem(problem: impl fmt::Display) -> BuildError {
    BuildError::new("ca_certificate", problem, "set it to certificates in PEM")
}
