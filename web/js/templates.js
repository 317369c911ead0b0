// The pack's templates in the gallery, by name: the server lists files as they lie on the disk.

const [, PACK] = decodeURI(import.meta.url).match(/\/extensions\/([^/]+)\//) ?? [];

/** Sorts the pack's templates from now on. */
export function sortTemplates(api) {
  const { getWorkflowTemplates } = api;
  api.getWorkflowTemplates = async function (...values) {
    const found = await getWorkflowTemplates.apply(this, values);
    found?.[PACK]?.sort();
    return found;
  };
}
