//! Who is at the other end of a TLS connection.

use crate::error::{Refusal, Result};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{HttpRequest, dev::Extensions, rt::net::TcpStream};
use card_spec::id::DeviceNo;
use clearing_api::{Tls, TlsError, tls::DEVICE_UNIT};
use rustls::{
    ServerConfig, crypto::ring, server::NoServerSessionStorage, server::WebPkiClientVerifier,
    version::TLS13,
};
use serde::Deserialize;
use std::{any::Any, sync::Arc};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

/// The holder of a certificate that TLS has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// A device.
    Device(DeviceNo),
    /// A service, or a person of the staff.
    Other,
}

impl Peer {
    fn of_certificate(der: &[u8]) -> Self {
        Self::device(der).map_or(Self::Other, Self::Device)
    }

    fn device(der: &[u8]) -> Option<DeviceNo> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let unit = subject.iter_organizational_unit().next()?.as_str().ok()?;
        let name = subject.iter_common_name().next()?.as_str().ok()?;
        (unit == DEVICE_UNIT).then(|| name.parse().ok()).flatten()
    }
}

/// TLS 1.3, for clients with a certificate of the authority. No tickets: every connection shows it.
pub(super) fn server_config(tls: &Tls) -> core::result::Result<ServerConfig, TlsError> {
    let identity = tls.load()?;
    let unusable = |path: &std::path::Path, why: &dyn core::fmt::Display| TlsError::Unusable {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let provider = Arc::new(ring::default_provider());
    let roots = identity.roots().map_err(|why| unusable(&tls.ca, &why))?;
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|why| unusable(&tls.ca, &why))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .and_then(|config| {
            config
                .with_client_cert_verifier(clients)
                .with_single_cert(identity.chain().to_vec(), identity.key())
        })
        .map_err(|why| unusable(&tls.certificate, &why))?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Notes for every request of a connection who its peer is. Plain connections have none.
pub(super) fn note(connection: &dyn Any, data: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() {
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        data.insert(certificate.map_or(Peer::Other, |der| Peer::of_certificate(der)));
    }
}

#[derive(Deserialize)]
struct Sender {
    device: DeviceNo,
}

/// Over TLS a device speaks for itself alone: the certificate's number must be the body's.
pub(super) fn speaks_for_itself(request: &HttpRequest, body: &[u8]) -> Result<()> {
    let Some(peer) = request.conn_data::<Peer>() else {
        return Ok(());
    };
    let sender: Sender =
        serde_json::from_slice(body).map_err(|why| Refusal::malformed(why.to_string()))?;
    let why = match peer {
        Peer::Device(device) if *device == sender.device => return Ok(()),
        Peer::Device(device) => format!(
            "the certificate is device {device}'s, the request device {}'s: every device has a certificate of its own",
            sender.device
        ),
        Peer::Other => format!(
            "the certificate is no device's: have one issued with `onecard hsm certificate issue --device {}`",
            sender.device
        ),
    };
    Err(Refusal::forbidden(why).into())
}
