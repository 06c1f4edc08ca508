//! A timer that asks another service once, and what it learnt in every request.

use crate::Config;
use std::cell::{Cell, RefCell};
use std::time::Duration;
use tamis_sdk::prelude::*;

pub(crate) struct Timer(Rc<RefCell<String>>);

impl Filter for Timer {
    type Config = Config;

    fn new(config: Config, root: &Root) -> Result<Self> {
        let learnt = Rc::new(RefCell::new("nothing".to_owned()));
        let (root, once, keep) = (root.clone(), Cell::new(true), learnt.clone());
        let again = root.clone();
        root.every(Duration::from_millis(60), move || {
            if !once.take() {
                return;
            }
            config.say(format_args!("tick"));
            let (config, keep) = (config.clone(), keep.clone());
            again.spawn(async move {
                if let Ok(reply) = config.ask("/keys").send().await {
                    *keep.borrow_mut() = String::from_utf8_lossy(&reply.body).into_owned();
                    config.say(format_args!("learnt"));
                }
            });
        });
        Ok(Self(learnt))
    }

    async fn handle(self: Rc<Self>, mut request: Request, next: Next) -> Result<Response> {
        let learnt = self.0.borrow().clone();
        request.headers_mut().set("x-learnt", learnt)?;
        next.run(request).await
    }
}
