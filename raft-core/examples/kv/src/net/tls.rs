//! Mutual TLS between nodes.
//!
//! Both ends show a certificate of the cluster's own authority, made out to the name
//! `node-ID.CLUSTER` ([`name_of`]): who dials checks that it reached the node that it means, who
//! accepts that the node is the one that it says it is. A node with another's certificate is
//! refused, although the authority has signed it.

use crate::net::Wire;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The files of a node, all PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate of the authority.
    pub authority: PathBuf,
    /// The certificate of this node.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Mutual TLS, ready for use.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The name to which the certificate of a node is made out.
pub fn name_of(cluster: &str, node: u64) -> String {
    format!("node-{node}.{cluster}")
}

impl Tls {
    /// Of these files.
    ///
    /// # Errors
    ///
    /// One is not there, or is not what it should be.
    pub fn load(files: &TlsFiles) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.authority)? {
            roots.add(certificate).map_err(io::Error::other)?;
        }
        let (roots, own) = (Arc::new(roots), certificates(&files.certificate)?);
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_client_auth_cert(own.clone(), key.clone_key())
            .map_err(io::Error::other)?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
            .with_single_cert(own, key)
            .map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(client));
        Ok(Self { connector, acceptor: TlsAcceptor::from(Arc::new(server)) })
    }

    /// Speaks TLS with a peer that was dialled.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        cluster: &str,
        peer: u64,
    ) -> io::Result<impl Wire + use<>> {
        self.connector.connect(server_name(cluster, peer)?, stream).await
    }

    /// Speaks TLS with whoever has dialled.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// Whether the certificate that was shown is this node's.
    pub(super) fn belongs_to(
        wire: &TlsStream<TcpStream>,
        cluster: &str,
        node: u64,
    ) -> io::Result<()> {
        let shown = wire.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let shown = shown.ok_or_else(|| io::Error::other("no certificate was shown"))?;
        let parsed = ParsedCertificate::try_from(shown).map_err(io::Error::other)?;
        verify_server_name(&parsed, &server_name(cluster, node)?).map_err(io::Error::other)
    }
}

fn server_name(cluster: &str, node: u64) -> io::Result<ServerName<'static>> {
    ServerName::try_from(name_of(cluster, node)).map_err(io::Error::other)
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).map_err(io::Error::other)?;
    read.collect::<Result<_, _>>().map_err(io::Error::other)
}
