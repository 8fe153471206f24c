//! A connection to a gRPC server, and the watch on it.

use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// What a server said.
pub(crate) enum Word {
    /// A status of the health protocol.
    Said(ServingStatus),
    /// It does not know the protocol.
    Unimplemented,
    /// Another status of gRPC.
    Failed(Status),
}

enum Watching {
    NotYet,
    Open(Box<Streaming<HealthCheckResponse>>),
    /// It could not be opened: to be tried again after the next check.
    Later,
    /// The server does not know `Watch`: not to be tried again.
    Never,
}

pub(crate) struct Session {
    client: HealthClient<Channel>,
    watching: Watching,
    /// The last status that the server said, by `Check` or `Watch`.
    last: Option<ServingStatus>,
    /// The last one by `Watch`.
    watched: Option<ServingStatus>,
}

impl Session {
    pub(crate) const fn new(client: HealthClient<Channel>) -> Self {
        Self {
            client,
            watching: Watching::NotYet,
            last: None,
            watched: None,
        }
    }

    /// Calls `Check`. A server that knows only `Watch` is taken by the last word of that.
    pub(crate) async fn check(&mut self, request: HealthCheckRequest) -> Word {
        let word = match self.client.check(request).await {
            Ok(response) => Word::Said(response.into_inner().status()),
            Err(status) => match (status.code(), self.watched) {
                (Code::Unimplemented, Some(watched)) => Word::Said(watched),
                (Code::Unimplemented, None) => Word::Unimplemented,
                // What `Watch` calls `SERVICE_UNKNOWN`.
                (Code::NotFound, _) => Word::Said(ServingStatus::ServiceUnknown),
                _ => Word::Failed(status),
            },
        };
        if let Word::Said(status) = word {
            self.last = Some(status);
        }
        if let Watching::Later = self.watching {
            self.watching = Watching::NotYet;
        }
        word
    }

    /// Resolves to `true` when the server says another status than the last, to `false` when it breaks off.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has read no message without remembering it.
    pub(crate) async fn told(&mut self, request: HealthCheckRequest) -> bool {
        loop {
            match &mut self.watching {
                Watching::Later | Watching::Never => std::future::pending().await,
                Watching::NotYet => match self.client.watch(request.clone()).await {
                    Ok(response) => self.watching = Watching::Open(Box::new(response.into_inner())),
                    Err(status) if status.code() == Code::Unimplemented => self.watching = Watching::Never,
                    Err(status) if has_no_connection(&status) => return false,
                    Err(_) => self.watching = Watching::Later,
                },
                Watching::Open(stream) => match stream.message().await {
                    Ok(Some(response)) => {
                        let said = response.status();
                        self.watched = Some(said);
                        if self.last.replace(said) != Some(said) {
                            return true;
                        }
                    }
                    Err(status) if status.code() == Code::Unimplemented => self.watching = Watching::Never,
                    Ok(None) | Err(_) => return false,
                },
            }
        }
    }
}

/// Whether there is no connection any more, as far as tonic tells: a status that no server sent has a source.
fn has_no_connection(status: &Status) -> bool {
    status.code() == Code::Unavailable || std::error::Error::source(status).is_some()
}
