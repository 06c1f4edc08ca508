//! Answers with what its VM is told.

use crate::Config;
use tamis_sdk::prelude::*;

pub(crate) struct Vm(Vec<u8>);

impl Filter for Vm {
    type Config = Config;

    fn new(_: Config, root: &Root) -> Result<Self> {
        Ok(Self(root.vm_configuration()))
    }

    async fn handle(self: Rc<Self>, _request: Request, _next: Next) -> Result<Response> {
        Ok(Reply::new(200).body(self.0.clone()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_sdk::testing::{Message, Setup};

    #[test]
    fn a_test_says_what_the_vm_is_told() {
        for told in ["", "shop-1"] {
            let setup = Setup { vm_configuration: told, ..Setup::default() };
            let played = setup.start::<Vm>(r#"{ "name": "a" }"#).expect("starts").play(Message::get("/"));
            assert_eq!(played.to_client().body, told.as_bytes());
        }
    }
}
