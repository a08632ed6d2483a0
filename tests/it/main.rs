//! Tests of the real `bundle` executable from outside: projects, wheels and servers are made for each test,
//! and what is built is started with a Python of this machine.

mod bad_lock;
mod build;
mod fetch;
mod fit;
mod index;
mod local;
mod lock;
mod pack;
mod plan;
mod poetry;
mod pylock;
mod start;
mod support;
