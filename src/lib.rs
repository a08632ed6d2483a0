//! Turns a locked Python project into one executable file per app.
//!
//! Data flows one way, each module taking the value of the one before it:
//!
//! ```text
//! project + flags ─▶ settings ─▶ lock ─▶ select ─▶ fetch ─▶ local ─▶ pack ─▶ artifact
//! ```

pub mod build;
pub mod cache;
pub mod cli;
pub mod credentials;
pub mod digest;
pub mod entry_point;
pub mod error;
pub mod fetch;
pub mod fit;
pub mod freshness;
pub mod http;
pub mod index;
pub mod install;
pub mod interpreter;
pub mod local;
pub mod lock;
pub mod manifest;
pub mod mirror;
pub mod netrc;
pub mod pack;
pub mod packaging;
pub mod pages;
pub mod plan;
pub mod platform;
pub mod project;
pub mod select;
pub mod settings;
pub mod target;
pub mod ui;
pub mod wheel;
pub mod workspace;
pub mod zip;
