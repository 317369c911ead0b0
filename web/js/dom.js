// A short way to make an element.

export const make = (tag, className, more = {}) => Object.assign(document.createElement(tag), { className, ...more });
