//! Turns a locked Python project into one executable file per app.
//!
//! Data flows one way, each module taking the value of the one before it:
//!
//! ```text
//! project + flags ─▶ settings ─▶ lock ─▶ select ─▶ fetch ─▶ local ─▶ pack ─▶ artifact
//! ```

pub mod cli;
pub mod digest;
pub mod entry_point;
pub mod error;
pub mod interpreter;
pub mod lock;
pub mod packaging;
pub mod plan;
pub mod platform;
pub mod project;
pub mod select;
pub mod settings;
pub mod target;
