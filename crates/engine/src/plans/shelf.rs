//! What every decision reads about plans, kept in memory: the catalog in force and frozen versions, which never change.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;

use tollgate_rules::catalog::{Catalog, Plan};

/// The plans in memory.
#[derive(Debug)]
pub(crate) struct Shelf {
    catalog: ArcSwap<Catalog>,
    versions: RwLock<HashMap<(String, u32), Arc<Plan>>>,
}

impl Shelf {
    /// With the plans file until the published plans are read.
    pub(crate) fn new(catalog: Catalog) -> Shelf {
        Shelf { catalog: ArcSwap::from_pointee(catalog), versions: RwLock::default() }
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    pub(super) fn put_catalog(&self, catalog: Catalog) {
        self.catalog.store(Arc::new(catalog));
    }

    pub(super) fn version(&self, code: &str, version: u32) -> Option<Arc<Plan>> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        versions.get(&(code.to_owned(), version)).cloned()
    }

    /// Remembers a frozen version. There are as many as were ever published, so nothing needs to be forgotten.
    pub(super) fn put_version(&self, plan: Plan) -> Arc<Plan> {
        let key = (plan.code.as_str().to_owned(), plan.version);
        let plan = Arc::new(plan);
        self.versions.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&plan));
        plan
    }
}
