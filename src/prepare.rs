//! Binds a sub path into the pod's directory (`doBindSubPath`): resolve, open below the volume,
//! make the target, bind the open descriptor, and undo it all if that fails.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use subpath_mountinfo::internal::{go_path, go_text, sys};
use subpath_mountinfo::mounter::AsyncMounter;
use subpath_mountinfo::{Error, Place, Profile, Result, Source, log, text};

use crate::clean::clean_sub_path;
use crate::lock::lock;
use crate::open::{NotStraight, open_beneath, open_straight};
use crate::pod_dir::PodDir;
use crate::request::Subpath;
use crate::target::{self, SourceFile};

/// How often a bind is tried when a concurrent clean-up takes the target away under it. A pod's
/// directory that is gone itself is not made again: whoever removed it expects no mount in it.
const TRIES: usize = 100;

/// [`crate::prepare_safe_subpath`] for a mounter that answers later.
pub async fn bind_sub_path<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    profile: Profile,
) -> Result<Vec<u8>> {
    let straight = match open_straight(&subpath.path, &subpath.volume_path) {
        Err(NotStraight::Automount(place, errno)) => {
            let volume = &subpath.volume_path;
            let is_in_volume = place.len() > go_path::clean_cow(volume).len();
            let of = if is_in_volume { &subpath.path } else { volume };
            return Err(cannot_resolve(of, &Error::path("lstat", place, errno)));
        }
        Err(NotStraight::Unknown) => None,
        Ok(found) => Some(found),
    };
    let (volume_path, path) = match &straight {
        Some(found) => (found.base.to_vec(), found.path.to_vec()),
        None => (resolve(&subpath.volume_path)?, resolve(&subpath.path)?),
    };
    log!(
        TRACE,
        "doBindSubPath ",
        go_text::quote(&subpath.path),
        " (",
        go_text::quote(&path),
        ") for volumepath ",
        go_text::quote(&subpath.volume_path)
    );
    let (fd, stat) = match straight {
        Some(found) => {
            found.trace();
            (found.fd, Some(found.stat))
        }
        None => (open_sub_path(&path, &volume_path)?, None),
    };
    let subpath = Subpath { path, volume_path, ..subpath.clone() };

    let patience = if mounter.is_kernel() { 10 } else { 1 };
    let _one_at_a_time = lock(&subpath.target(), Duration::from_secs(patience));
    bind(mounter, &subpath, &fd, SourceFile::Open(&fd, stat), profile).await
}

fn resolve(path: &[u8]) -> Result<Vec<u8>> {
    go_path::eval_symlinks(path).map_err(|error| cannot_resolve(path, &error))
}

fn cannot_resolve(path: &[u8], cause: &Error) -> Error {
    Error::flatten(text!("error resolving symlinks in ", go_text::quote(path), ": "), cause)
}

/// Opens the sub path below its volume (`safeOpenSubPath`).
fn open_sub_path(path: &[u8], volume_path: &[u8]) -> Result<OwnedFd> {
    if !go_path::path_within_base(path, volume_path) {
        return Err(Error::new(text!(
            "subpath ",
            go_text::quote(path),
            " not within volume path ",
            go_text::quote(volume_path)
        )));
    }
    open_beneath(path, volume_path)
        .map_err(|error| Error::flatten(text!("error opening subpath ", path, ": "), &error))
}

async fn bind<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    source: &OwnedFd,
    file: SourceFile<'_>,
    profile: Profile,
) -> Result<Vec<u8>> {
    let mut tries = 0;
    loop {
        tries += 1;
        let target = target::prepare(mounter, subpath, file, profile).await?;
        let Some(parent) = target.parent else {
            return Ok(target.path);
        };
        let at = Place::beneath(parent.as_fd(), &target.path);
        let source = Source { fd: source.as_fd() };
        log!(
            TRACE,
            "bind mounting ",
            // Where it cannot be told the mounter's own question fails.
            go_text::quote(&source.proc_path().unwrap_or_default()),
            " at ",
            go_text::quote(&target.path)
        );
        let error = match mounter.bind(source, at).await {
            Ok(()) => {
                log!(INFO, "Bound SubPath ", subpath.path, " into ", target.path);
                return Ok(target.path);
            }
            Err(error) => error,
        };
        if mounter.is_kernel()
            && error.errno() == Some(sys::ENOENT)
            && tries < TRIES
            && PodDir::new(&subpath.pod_dir).is_there()
        {
            continue;
        }
        let error = Error::flatten(text!("error mounting ", subpath.path, ": "), &error);
        undo(mounter, subpath, &target.path, profile).await;
        return Err(error);
    }
}

/// Takes away what was made for a bind that failed.
async fn undo<M: AsyncMounter>(mounter: &M, subpath: &Subpath, target: &[u8], profile: Profile) {
    log!(DEBUG, "doBindSubPath() failed for ", go_text::quote(target), ", cleaning up subpath");
    if let Err(error) = clean_sub_path(mounter, subpath, profile).await {
        log!(ERROR, "Failed to clean subpath ", go_text::quote(target), ": ", error.text_v());
    }
}
