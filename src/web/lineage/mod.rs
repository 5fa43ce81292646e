//! The graph of all assets as a picture.

pub mod layout;
mod order;
mod settle;
