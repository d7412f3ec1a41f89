use highwater::Pipeline;
use std::{convert::Infallible, rc::Rc};

fn main() {
    // Each stage is a thread.
    let _ = Pipeline::source([1, 2]).stage(|item| Ok::<_, Infallible>(Rc::new(item)));
}
