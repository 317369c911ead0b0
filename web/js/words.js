// The panel's words, in the language of the page: locales/*/main.json, which the host serves with its translations.

let words = {};

/** Takes the words of a language out of what the host serves, the English ones where it has none. */
export function speak(served, language) {
  words = { ...served.en?.purecc, ...served[language]?.purecc };
}

/** The words of a key, with what stands in braces filled in. */
export const say = (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
