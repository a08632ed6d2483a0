//! Tests with the real package index: the services of `fixtures/rag` and `fixtures/shop`, and the command of
//! `fixtures/tally`, are built from their locks, started, and compared with what the locks' own tools install.
//!
//! They need the network and a Python 3.11, hence a feature of their own: `--features test-real-index`.

mod api;
#[cfg(feature = "test-arm64")]
mod arm64;
mod machine;
mod parity;
mod reproducible;
mod server;
mod shop;
mod tally;
mod worker;

#[path = "../it/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the hermetic tests need more of it")]
mod support;
