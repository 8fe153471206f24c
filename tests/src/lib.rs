//! Contract tests over real sockets.
