//! `txn`: changes of several entries, all or none.

use serde::Deserialize;

use super::change::Step;
use super::{Answer, Call};
use crate::exit::Failure;
use crate::mcp::desk::{Desk, Open};

/// Makes several changes at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    ops: Vec<Step>,
    fence: Option<u64>,
}

impl Call for Transaction {
    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        if self.ops.is_empty() {
            return Err(Failure::invalid("ops is empty"));
        }
        let Open { scope, store, .. } = desk.writing(self.fence)?;
        let steps = self.ops.iter().map(|step| step.check(scope)).collect::<Result<Vec<_>, _>>()?;
        let results = store.write(|writer| {
            let mut results = Vec::with_capacity(steps.len());
            for step in &steps {
                results.push(step.take(writer).map_err(|error| error.at(&step.key))?);
            }
            Ok(results)
        })?;
        Ok(Answer::Done([b"{\"results\":[".as_slice(), &results.join(&b','), b"]}"].concat()))
    }
}
