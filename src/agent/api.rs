//! The local API.

use super::shared::Shared;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// Serves the API until told to stop.
pub async fn serve(listener: UnixListener, shared: Shared, stop: CancellationToken) {
    let _held = (listener, shared);
    stop.cancelled().await;
}
