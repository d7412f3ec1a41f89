//! Where and with what the figures were taken.

use procfs::Current as _;
use serde::Serialize;
use std::{collections::BTreeMap, str::FromStr as _};

#[derive(Serialize)]
pub struct Machine {
    pub processor: String,
    pub processors: usize,
    pub kernel: String,
    pub rustc: String,
    /// Of highwater and of everything that it is compared with.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    pub fn this() -> anyhow::Result<Self> {
        let info = procfs::CpuInfo::current()?;
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        Ok(Self {
            processor: info.model_name(0).unwrap_or("unknown").to_owned(),
            processors: info.num_cores(),
            kernel: kernel.trim().to_owned(),
            rustc: rustc_version_runtime::version().to_string(),
            versions: versions()?,
        })
    }
}

/// The versions that were compiled in: of what this package depends on directly.
fn versions() -> anyhow::Result<BTreeMap<String, String>> {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
    let lock = cargo_lock::Lockfile::from_str(&std::fs::read_to_string(lock)?)?;
    let this = lock
        .packages
        .iter()
        .find(|package| package.name.as_str() == env!("CARGO_PKG_NAME"));
    Ok(this
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| (dependency.name.to_string(), dependency.version.to_string()))
        .collect())
}
