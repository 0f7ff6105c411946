//! The flags that every write has: look first, say why, and how much it may destroy.

use clap::Args;

#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Safety")]
pub(crate) struct Writing {
    /// Show what would change, and change nothing; exit code 3 if anything would
    #[arg(long, conflicts_with_all = ["whatif", "plan_digest", "allow_removals"])]
    pub(crate) plan: bool,

    /// Show what one cluster would get as a diff, and change nothing; exit code 3 if it differs
    #[arg(long, value_name = "CLUSTER", conflicts_with_all = ["plan_digest", "allow_removals"])]
    pub(crate) whatif: Option<String>,

    /// Do it only if its effect is still that of the plan with this digest
    #[arg(long, value_name = "DIGEST", value_parser = digest, conflicts_with = "allow_removals")]
    pub(crate) plan_digest: Option<String>,

    /// Do it, without a question, if it destroys something on at most this many clusters
    #[arg(long, value_name = "N")]
    pub(crate) allow_removals: Option<u64>,

    /// Why, for the history
    #[arg(long, value_name = "TEXT", env = "FLUX_API_REASON", hide_env_values = true)]
    pub(crate) reason: Option<String>,
}

/// Reads a plan's digest, for clap.
pub(crate) fn digest(typed: &str) -> Result<String, String> {
    match typed.len() == 64 && typed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(typed.to_owned()),
        false => Err("it is the 64 hexadecimal digits that stand below a plan".to_owned()),
    }
}

impl Writing {
    /// Whether it only shows what would be.
    pub(crate) fn is_preview(&self) -> bool {
        self.plan || self.whatif.is_some()
    }

    /// Whether the server must know plans for it to be what was meant.
    pub(crate) fn needs_plans(&self) -> bool {
        self.is_preview() || self.plan_digest.is_some() || self.allow_removals.is_some()
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty())
    }
}
