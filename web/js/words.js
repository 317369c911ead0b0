// The panel's texts in the language of the page: locales/*/main.json, which the host serves with its translations.

let words = {};

/** Uses the texts of a language from what the host serves; English fills the gaps. */
export function setLanguage(served, language) {
  words = { ...served.en?.purecc, ...served[language]?.purecc };
}

/** Returns the text of a key with its braces filled from values. */
export const say = (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** Returns a message of the server, {key, values, text}, translated if the key is known, else in English. */
export const translated = ({ key, values, text }) => (key in words ? say(key, values) : text);
