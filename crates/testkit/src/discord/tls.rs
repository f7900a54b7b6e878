//! A certificate for loopback, and who signed it.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

/// A certificate for `localhost`, under an authority that a client can be told to trust.
pub struct Certificate {
    acceptor: TlsAcceptor,
    authority: NamedTempFile,
}

impl Certificate {
    pub(super) fn new() -> Certificate {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters without names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority signs itself");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name").signed_by(&key, &issuer);
        let chain = vec![leaf.expect("the authority signs").der().clone()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS")
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
            .expect("the key is the certificate's");
        let mut authority = NamedTempFile::new().expect("a file for the authority");
        authority.write_all(issuer.pem().as_bytes()).expect("the authority is written");
        Certificate { acceptor: TlsAcceptor::from(Arc::new(config)), authority }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// What `SSL_CERT_FILE` is set to for a client.
    pub fn authority(&self) -> &Path {
        self.authority.path()
    }
}
