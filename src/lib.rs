//! Turns a locked Python project into one executable file per app.
//!
//! Data flows one way, each module taking the value of the one before it:
//!
//! ```text
//! project + flags ─▶ settings ─▶ lock ─▶ select ─▶ fetch ─▶ local ─▶ pack ─▶ artifact
//! ```

pub mod digest;
pub mod error;
pub mod lock;
pub mod packaging;
pub mod platform;
pub mod select;
pub mod target;
