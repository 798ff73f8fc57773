import { describeError, PlasmaError } from "../errors.ts";
import { filteredKind } from "../filters/mod.ts";
import type { Claim, Committed, Store } from "../stores/mod.ts";
import type { Source } from "../strategies/mod.ts";
import { newRunId, runOwner } from "../system/run_id.ts";
import { move, type Moved, type TransferContext, type Uploaded, uploadFrom } from "./attempt.ts";
import { type ByteSource, fileSource, produce } from "./byte_source.ts";
import { hookOptions, type Run } from "./context.ts";
import { runAllHooks } from "./hooks.ts";
import { isTransient, pause, retrying } from "./retry.ts";
import { StagingFile } from "./staging.ts";

/** A new archive. */
export interface Stored extends Committed {
  readonly bytes: number;
  readonly sha256: string;
  /** How long it took from opening the source to the commit. */
  readonly seconds: number;
}

/**
 * Open the source, archive it, and commit the archive. When this throws, nothing new is stored and
 * what was begun has been removed.
 */
export async function makeArchive(run: Run, expectedBytes: number | undefined): Promise<Stored> {
  const { config, strategy, log, outcome } = run;
  const start = performance.now();
  const { coverage, open } = await strategy.survey();
  for (const notice of coverage.notices) log.info(notice);
  for (const { skipped } of coverage.folders) {
    for (const { path, reason } of skipped) log.info(`left out: ${path}: ${reason}`);
  }
  outcome.warnings.push(...coverage.warnings);
  const source = await open(run.place);
  const closeSource = async () => {
    outcome.problems.push(...await source.close());
  };
  try {
    if (source.frozen) await runAfterSnapshot(run);
    const context: TransferContext = {
      signal: run.signal,
      log,
      limit: config.bandwidthLimit,
      expectedBytes,
    };
    const { name, bytes, sha256, warnings } = config.tempfile === undefined
      ? await storeDirectly(run, source, context)
      : await storeStaged(run, source, config.tempfile, context, closeSource);
    outcome.warnings.push(...warnings);
    if (warnings.length > 0) {
      outcome.problems.push(`archive: ${warnings.length} files changed or vanished meanwhile`);
    }
    if (!source.frozen) await runAfterSnapshot(run);
    return { name, bytes, sha256, seconds: (performance.now() - start) / 1000 };
  } finally {
    await closeSource();
  }
}

/** Services may go on: as soon as the source is frozen, or else when it has been read. */
async function runAfterSnapshot(run: Run): Promise<void> {
  const problems = await runAllHooks(
    "executeAfterSnapshot",
    run.config.executeAfterSnapshot,
    hookOptions(run, {}),
  );
  run.outcome.problems.push(...problems.map(describeError));
  run.signal.throwIfAborted();
}

type StoredBytes = Committed & Moved;

async function storeDirectly(
  run: Run,
  source: Source,
  context: TransferContext,
): Promise<StoredBytes> {
  const kind = filteredKind(source.kind, run.filters);
  return await storeFrom(run, kind, context, () => produce(source, run.filters, run.place.folder));
}

/** Put the archive down in the tempfile first; after that the source is not needed any more. */
async function storeStaged(
  run: Run,
  source: Source,
  tempfile: string,
  context: TransferContext,
  closeSource: () => Promise<void>,
): Promise<StoredBytes> {
  using staging = StagingFile.create(tempfile);
  const staged = await stage(source, staging, run, context);
  await closeSource();
  run.log.info(`staged in ${tempfile}, now uploading`);
  const stored = await storeFrom(
    run,
    filteredKind(source.kind, run.filters),
    { ...context, expectedBytes: staged.bytes },
    () => Promise.resolve(fileSource(staging.path)),
  );
  return { ...stored, warnings: staged.warnings };
}

async function stage(
  source: Source,
  staging: StagingFile,
  run: Run,
  context: TransferContext,
): Promise<Moved> {
  await using bytes = await produce(source, run.filters, run.place.folder);
  const sink = {
    sink: staging.path,
    durable: false,
    onOpen() {},
    kill() {},
    explain: () => Promise.resolve(undefined),
  };
  return await move(bytes, sink, { ...context, limit: undefined });
}

/** Upload and commit, again if the way to the storage fails and the config says so. */
async function storeFrom(
  run: Run,
  kind: string,
  context: TransferContext,
  open: () => Promise<ByteSource>,
): Promise<StoredBytes> {
  const { store, config, place } = run;
  let uploaded: Uploaded | undefined;
  try {
    return await retrying(config, run, "upload", async () => {
      // An upload whose commit got no answer may have been committed: ask before sending it again.
      const known = uploaded === undefined ? undefined : await findCommitted(store, uploaded, kind);
      if (uploaded !== undefined && known !== undefined) return { ...uploaded, ...known };
      await using source = await open();
      uploaded = await uploadFrom(source, store, newRunId(runOwner(place.id)!), context);
      return { ...uploaded, ...await commit(run, { ...uploaded, kind }) };
    });
  } catch (error) {
    if (uploaded !== undefined) await store.discard(uploaded.id);
    throw error;
  }
}

/** Seconds after which a commit that got no answer is asked again. */
const askAgainSeconds = [1, 5, 15] as const;

async function commit(run: Run, claim: Claim): Promise<Committed> {
  run.signal.throwIfAborted();
  for (const seconds of askAgainSeconds) {
    try {
      return await run.store.commit(claim);
    } catch (error) {
      if (!isTransient(error)) throw error;
      run.log.warning(`no answer to the commit, asking again: ${describeError(error)}`);
      await pause(seconds, run.signal);
    }
  }
  return await run.store.commit(claim);
}

/** The archive of an earlier attempt, if its commit was done; undefined if it was not. */
async function findCommitted(
  store: Store,
  uploaded: Uploaded,
  kind: string,
): Promise<Committed | undefined> {
  try {
    return await store.commit({ ...uploaded, kind });
  } catch (error) {
    if (error instanceof PlasmaError && error.code === "no-upload") return undefined;
    throw error;
  }
}
