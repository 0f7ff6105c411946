//! TLS to the server, by rustls: its certificate and name are always verified, by the machine's own
//! authorities or by those of a file.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::Failure;
use crate::{Error, ErrorKind};

/// What makes TLS connections that trust the authorities in `ca_file`, or the machine's.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, Failure> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = match ca_file {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        None => builder.with_platform_verifier().map_err(unusable)?,
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

fn unusable(source: rustls::Error) -> Failure {
    let sentence = "this machine names no certificate authorities: name a file of them in DATABASE_CA_FILE";
    Error::new(ErrorKind::Unavailable, sentence).caused_by(source).into()
}

/// Read anew at each opening: a file that is mounted later, or renewed, is found then.
fn authorities(file: &Path) -> Result<RootCertStore, Failure> {
    let unreadable =
        || format!("DATABASE_CA_FILE {} cannot be read: it must hold certificates in PEM", file.display());
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| Error::new(ErrorKind::Unavailable, unreadable()).caused_by(source))?;
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|source| Error::new(ErrorKind::Unavailable, unreadable()).caused_by(source))?;
    }
    match roots.is_empty() {
        true => Err(Failure::new(ErrorKind::Unavailable, unreadable())),
        false => Ok(roots),
    }
}
