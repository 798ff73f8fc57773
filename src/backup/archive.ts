import type { AgentConfig } from "../config/agent.ts";
import { describeError, SignalError } from "../errors.ts";
import { filteredKind } from "../filters/mod.ts";
import type { Committed, StoreState } from "../stores/mod.ts";
import { explainNothing } from "../strategies/contributions.ts";
import type { StreamSource, Survey } from "../strategies/mod.ts";
import { countFiles } from "../strategies/judge_tar.ts";
import { move, type Moved, type StoredBytes, type Uploaded, uploadFrom } from "./attempt.ts";
import { type ByteSource, produce } from "./byte_source.ts";
import { hookOptions, type Run } from "./context.ts";
import { runAllHooks } from "./hooks.ts";
import { commit, discardPending, findCommitted } from "./commit.ts";
import { retrying } from "./retry.ts";
import { sendSubvolumes } from "./send.ts";
import { StagingFile } from "./staging.ts";
import type { TransferContext } from "./transfer_watch.ts";

/** A new archive. */
export interface Stored extends Committed {
  readonly bytes: number;
  readonly sha256: string;
  /** How long it took from opening the source to the commit. */
  readonly seconds: number;
}

/** What is left to be done when an archive is stored. */
export interface Made {
  readonly stored: Stored;
  /** The source is being cleaned up, beside other work. */
  readonly closing: Promise<void>;
}

/**
 * Open the source, archive it, and commit the archive. When this throws, nothing new is stored, and all
 * is cleaned up.
 *
 * @param surveyed what the strategy has found just now, if it was asked
 */
export async function makeArchive(
  run: Run,
  state: StoreState,
  surveyed: Promise<Survey> | undefined,
): Promise<Made> {
  const { config, strategy, log, outcome } = run;
  const start = performance.now();
  const { coverage, open } = await (surveyed ?? strategy.survey());
  for (const notice of coverage.notices) log.info(notice);
  for (const { skipped } of coverage.folders) {
    for (const { path, reason } of skipped) log.info(`left out: ${path}: ${reason}`);
  }
  outcome.warnings.push(...coverage.warnings);
  outcome.problems.push(...coverage.problems);
  const source = await open(run.place);
  const closeSource = async () => {
    outcome.problems.push(...await source.close());
  };
  try {
    if (source.frozen) await runAfterSnapshot(run);
    run.signal.throwIfAborted();
    const context: TransferContext = {
      signal: run.signal,
      log,
      limit: config.bandwidthLimit,
      expectedBytes: state.newestBytes,
    };
    const { name, bytes, sha256, warnings } = source.archives === "subvolumes"
      ? await sendSubvolumes(run, source, state.subvolumes!, context)
      : await storeStream(run, source, context, async () => {
        await closeSource();
        if (!source.frozen) await runAfterSnapshot(run);
      });
    outcome.warnings.push(...warnings);
    outcome.problems.push(...problemsIn(warnings, config));
    if (source.archives === "stream") await noteContributions(run, source);
    if (!source.frozen && config.tempfile === undefined) await runAfterSnapshot(run);
    const stored = { name, bytes, sha256, seconds: (performance.now() - start) / 1000 };
    const closing = closeSource();
    closing.catch(() => {});
    return { stored, closing };
  } catch (error) {
    await closeSource();
    throw error;
  }
}

/** What came of each folder, and a warning for each of which nothing did. */
async function noteContributions({ outcome }: Run, { counter }: StreamSource): Promise<void> {
  outcome.contributions = counter?.contributions ?? [];
  for (const one of outcome.contributions) {
    const words = await explainNothing(one);
    if (words !== undefined) outcome.warnings.push(words);
  }
}

/** What tar warns of, counted, as far as it is not as good as any backup is of files that change. */
function problemsIn(warnings: readonly string[], { changedFiles }: AgentConfig): string[] {
  const { changed, leftOut } = countFiles(warnings);
  const isFine = changed === 0 || changedFiles === "warning";
  return [
    ...(leftOut === 0 ? [] : [`archive: ${leftOut} files could not be read and are left out`]),
    ...(isFine ? [] : [`archive: ${changed} files changed or vanished meanwhile`]),
  ];
}

/** Services may go on: as soon as the source is frozen, or else when it has been read. */
async function runAfterSnapshot(run: Run): Promise<void> {
  const { outcome, config } = run;
  const onBegin = (index: number) => {
    if (outcome.nextAfterSnapshot !== undefined) outcome.nextAfterSnapshot = index + 1;
  };
  const options = { ...hookOptions(run, {}), onBegin };
  const problems = await runAllHooks("executeAfterSnapshot", config.executeAfterSnapshot, options);
  // That the run was ended is told by itself.
  outcome.problems.push(
    ...problems.filter((one) => !(one instanceof SignalError)).map(describeError),
  );
}

async function storeStream(
  run: Run,
  source: StreamSource,
  context: TransferContext,
  onStaged: () => Promise<void>,
): Promise<StoredBytes> {
  const { tempfile } = run.config;
  if (tempfile !== undefined) return await storeStaged(run, source, tempfile, context, onStaged);
  const kind = filteredKind(source.kind, run.filters);
  const { filters, place } = run;
  return await bounding(
    run,
    source,
    (one) => storeFrom(run, kind, context, () => produce(one, filters, place.folder)),
  );
}

/** Archive a source; if that is too much for its program, without what it cannot cope with. */
async function bounding<T>(
  run: Run,
  source: StreamSource,
  archive: (source: StreamSource) => Promise<T>,
): Promise<T> {
  const { log, outcome, signal } = run;
  try {
    return await archive(source);
  } catch (error) {
    const bounded = await source.bound?.(error, signal);
    if (bounded === undefined) throw error;
    const { command, warnings, problem } = bounded;
    log.warning(`${describeError(error)}: archiving again without what is too much for it`);
    const result = await archive({ ...source, command });
    outcome.warnings.push(...warnings);
    outcome.problems.push(problem);
    return result;
  }
}

/** Put the archive down in the tempfile first; after that the source is not needed any more. */
async function storeStaged(
  run: Run,
  source: StreamSource,
  tempfile: string,
  context: TransferContext,
  onStaged: () => Promise<void>,
): Promise<StoredBytes> {
  using staging = await StagingFile.create(tempfile);
  const staged = await bounding(run, source, (one) => stage(one, staging, run, context));
  await onStaged();
  run.signal.throwIfAborted();
  run.log.info(`staged in ${tempfile}, now uploading`);
  const stored = await storeFrom(
    run,
    filteredKind(source.kind, run.filters),
    { ...context, expectedBytes: staged.bytes },
    () => Promise.resolve(staging.source(staged)),
  );
  return { ...stored, warnings: staged.warnings };
}

async function stage(
  source: StreamSource,
  staging: StagingFile,
  run: Run,
  context: TransferContext,
): Promise<Moved> {
  await using bytes = await produce(source, run.filters, run.place.folder);
  return await move(bytes, staging.sink(), { ...context, limit: undefined });
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
  return await retrying(config, run, "upload", async () => {
    // An upload whose commit got no answer may have been committed: ask before sending it again.
    const known = uploaded === undefined
      ? undefined
      : await findCommitted(run, { ...uploaded, kind });
    if (uploaded !== undefined && known !== undefined) return { ...uploaded, ...known };
    await discardPending(run);
    await using source = await open();
    uploaded = await uploadFrom(source, store, place.uploads.begin(), context);
    return { ...uploaded, ...await commit(run, { ...uploaded, kind }) };
  });
}
