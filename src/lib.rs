pub mod apply;
pub mod decide;
pub mod model;
pub mod observe;
pub mod plan;
pub mod providers;
pub mod record;
