//! For tests that draw what they do.

use proptest::prelude::ProptestConfig;

/// More cases where they are fast, and nothing written into the checkout.
pub fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(debug_assertions) { 200 } else { 1000 };
    }
    config.failure_persistence = None;
    config
}
