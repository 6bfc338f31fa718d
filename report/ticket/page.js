"use strict";
// Sorting by a column and filtering of rows, for each table; without this all of
// the page can be read.
(function () {
  var few = 8; // rows below which a filter is of no use

  function element(tag, name, text) {
    var e = document.createElement(tag);
    if (name) e.className = name;
    if (text) e.textContent = text;
    return e;
  }

  function key(row, column, kind) {
    var cell = row.cells[column];
    var k = cell.getAttribute("data-k");
    if (k === null) k = cell.textContent;
    if (kind !== "num" && kind !== "sev") return k;
    var n = parseFloat(k);
    return isNaN(n) ? Infinity : n;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a < b ? -1 : a > b ? 1 : 0;
    return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
  }

  function sortable(table) {
    var body = table.tBodies[0];
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    heads.forEach(function (th, column) {
      var button = element("button", "sort", th.textContent);
      button.type = "button";
      th.textContent = "";
      th.appendChild(button);
      th.setAttribute("aria-sort", "none");
      button.addEventListener("click", function () {
        var down = th.getAttribute("aria-sort") === "ascending";
        heads.forEach(function (h) { h.setAttribute("aria-sort", "none"); });
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        var kind = th.getAttribute("data-kind");
        var rows = Array.prototype.map.call(body.rows, function (row, i) {
          return { row: row, key: key(row, column, kind), at: i };
        });
        rows.sort(function (a, b) {
          var c = compare(a.key, b.key);
          return (down ? -c : c) || a.at - b.at;
        });
        var all = document.createDocumentFragment();
        rows.forEach(function (r) { all.appendChild(r.row); });
        body.appendChild(all);
      });
    });
  }

  function filterable(table, box) {
    var rows = Array.prototype.slice.call(table.tBodies[0].rows);
    if (rows.length < few) return;
    var texts = rows.map(function (r) { return r.textContent.toLowerCase(); });
    var bar = element("div", "filter");
    var label = element("label", "", "Filter " + table.getAttribute("data-what") + " ");
    var input = element("input");
    input.type = "search";
    input.autocomplete = "off";
    input.spellcheck = false;
    label.appendChild(input);
    var told = element("span", "told");
    told.setAttribute("role", "status");
    bar.appendChild(label);
    bar.appendChild(told);
    box.parentNode.insertBefore(bar, box);
    input.addEventListener("input", function () {
      var words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      var n = 0;
      rows.forEach(function (row, i) {
        var fits = words.every(function (w) { return texts[i].indexOf(w) >= 0; });
        row.hidden = !fits;
        if (fits) n++;
      });
      told.textContent = words.length ? n + " of " + rows.length : "";
    });
  }

  Array.prototype.forEach.call(document.querySelectorAll(".scroll"), function (box) {
    var table = box.querySelector("table");
    sortable(table);
    filterable(table, box);
  });

  // paper shows what is folded
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.prototype.slice.call(document.querySelectorAll("details:not([open])"));
    opened.forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (d) { d.open = false; });
  });
})();
