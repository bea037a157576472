use super::{Addressing, Run, nss};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// List the namespaces of the project that -p names, or the cursor
#[derive(clap::Args)]
pub struct Namespaces {
    #[command(flatten)]
    arguments: nss::Arguments,
}

impl Run for Namespaces {
    const ADDRESSING: Addressing = Addressing::Project;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let Some(project) = cx.globals.project.clone().or_else(|| cx.known_selection()?.project.clone())
        else {
            let failure = Failure::usage("the project is missing");
            return Err(
                failure.hint("prontodb namespaces -p PROJECT; prontodb nss lists those of all projects")
            );
        };
        nss::list(cx, Some(&project), &self.arguments, &|info| info.space.namespace.namespace().to_owned())
    }
}
