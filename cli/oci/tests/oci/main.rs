//! Images read, pushed and judged. Names end with the number of the idea that they hold (docs/publishing.md).

mod bearer;
mod certificates;
mod deploying;
mod desk;
mod keyless;
mod lies;
mod logins;
mod mending;
mod packages;
mod pieces;
mod plain;
mod reading;
mod real;
mod rollout;
mod schemas;
mod scripted;
mod shelf;
mod signing;
