//! Tests with the real package index: the services of `fixtures/rag` are built from their lock, started, and
//! compared with the virtual environments that uv makes from the same lock.
//!
//! They need the network and a Python 3.11, hence a feature of their own: `--features test-real-index`.

mod api;
#[cfg(feature = "test-arm64")]
mod arm64;
mod machine;
mod parity;
mod reproducible;
mod server;
mod worker;

#[path = "../it/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the hermetic tests need more of it")]
mod support;
