//! Rebuilds when a migration or a file of the pages is added: both are embedded by folder.

fn main() {
    println!("cargo:rerun-if-changed=migrations/karat");
    println!("cargo:rerun-if-changed=web/static");
}
