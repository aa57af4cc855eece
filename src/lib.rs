//! kubernetes' safe subPath mounting.
