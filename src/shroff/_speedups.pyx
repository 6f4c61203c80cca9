# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=False, initializedcheck=False
"""The hottest loops in C: the same results as the Python that `shroff.speedups` names beside each.

They work on the objects of that Python, keep nothing, and leave to it what is rare.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.long cimport PyLong_AsDouble
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompareBool
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.math cimport INFINITY, NAN
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

# what `shroff.speedups` asks for: an older file, left beside newer Python, is not used
INTERFACE = 4

cdef long long END_OF_TIME = 0x7FFF_FFFF_FFFF_FFFF
cdef long long BEFORE_TIME = -0x7FFF_FFFF_FFFF_FFFF

cdef enum:
    NAMELESS = 255
    # 64 bits hold the sum of so many squares of numbers below `SMALL`
    MOST_SQUARES = 128
    SMALL = 1 << 28

cdef enum Op:
    COUNT
    TOTAL
    SQUARE
    SMALLEST
    LARGEST
    DISTINCT
    NAMED
    OWN
    FROM_START
    FROM_END

OPS = {
    "count": COUNT,
    "total": TOTAL,
    "square": SQUARE,
    "smallest": SMALLEST,
    "largest": LARGEST,
    "distinct": DISTINCT,
    "named": NAMED,
    "own": OWN,
    "from start": FROM_START,
    "from end": FROM_END,
}

_OF_TIMES = ("count", "from start", "from end")

cdef struct Span:
    long long age
    long long delay
    long long resolution

cdef struct Read:
    int window
    Op op
    int column
    int nth


cdef inline long long _bound(long long time, long long age, long long resolution):
    """`shroff.features.window.upto`; the first or last time where 8 bytes end."""
    cdef long long bound, more
    if time < BEFORE_TIME + age:
        return BEFORE_TIME
    bound = time - age
    if resolution:
        # `%` is not negative, as in Python
        more = resolution - 1 - bound % resolution
        return END_OF_TIME if bound > END_OF_TIME - more else bound + more
    return bound


cdef inline Py_ssize_t _after(const long long* times, Py_ssize_t high, long long time) noexcept:
    """The place after all of the first `high` times that are not later than `time`."""
    cdef Py_ssize_t low = 0, middle
    if not high or times[high - 1] <= time:
        return high
    while low < high:
        middle = (low + high) >> 1
        if times[middle] <= time:
            low = middle + 1
        else:
            high = middle
    return low


cdef class Windows:
    """Reads windows over a timeline.

    Args:
        windows: of each its length, delay and resolution in microseconds.
        reads: what is read, in the order of `read`'s answer: the place of its window, one of `OPS`,
            the place of the column that it is of (or -1), the number of the event (for "own" the
            place of the name), and what it is where the window has no such event.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: they are others.
    """

    cdef Span* _spans
    cdef Read* _reads
    cdef Py_ssize_t _windows
    cdef Py_ssize_t _count
    cdef Py_ssize_t _columns
    cdef tuple _nothing

    def __cinit__(self, windows, reads):
        cdef Py_ssize_t place
        # their lengths are those of what is read, and stay
        windows, reads = list(windows), list(reads)
        self._windows, self._count = len(windows), len(reads)
        self._spans = <Span*> malloc(max(self._windows, 1) * sizeof(Span))
        self._reads = <Read*> malloc(max(self._count, 1) * sizeof(Read))
        if self._spans is NULL or self._reads is NULL:
            raise MemoryError
        for place, (length, delay, resolution) in enumerate(windows):
            if min(length, delay, resolution) < 0:
                raise ValueError("expected a window of no negative length, delay or resolution")
            self._spans[place] = Span(length + delay, delay, resolution)
        for place, (window, op, column, nth, _) in enumerate(reads):
            if not (0 <= window < self._windows and nth > 0):
                raise ValueError("expected the place of a window, and a number from 1")
            self._reads[place] = Read(window, OPS[op], column, nth)
            if op == "own":
                self._columns = max(self._columns, nth + 1)
            if op not in _OF_TIMES:
                self._columns = max(self._columns, column + 1)
                if column < 0:
                    raise ValueError("expected the place of a column")
        self._nothing = tuple([nothing for *_, nothing in reads])

    def __dealloc__(self):
        free(self._spans)
        free(self._reads)

    def read(self, array.array times not None, tuple columns not None, long long time):
        """What is read of a timeline's windows, as seen at `time`: a tuple.

        `columns` are those of the timeline, and the names that "own" asks for.

        Python that it calls may let another thread change the timeline: no pointer into an array is
        kept over a call, and no length is trusted after one.
        """
        cdef Py_ssize_t place, nth, low = 0, high = 0
        cdef long long after = 0, upto = 0
        cdef int window = -1
        cdef Read* read
        cdef Span* span
        cdef object value
        cdef tuple answer = PyTuple_New(self._count)
        if times.ob_descr.typecode != c"q" or PyTuple_GET_SIZE(columns) < self._columns:
            raise ValueError("expected times of 8 bytes, and all columns")
        for place in range(self._count):
            read = &self._reads[place]
            if read.window != window:
                window = read.window
                span = &self._spans[window]
                high = len(times)
                upto = END_OF_TIME
                if span.delay:
                    upto = _bound(time, span.delay, span.resolution)
                    high = _after(times.data.as_longlongs, high, upto)
                after = _bound(time, span.age, span.resolution)
                low = _after(times.data.as_longlongs, high, after)
            if low >= high:
                value = <object> PyTuple_GET_ITEM(self._nothing, place)
            elif read.op == COUNT:
                value = high - low
            elif read.op == FROM_START or read.op == FROM_END:
                if high - low < read.nth:
                    value = <object> PyTuple_GET_ITEM(self._nothing, place)
                else:
                    nth = low + read.nth - 1 if read.op == FROM_START else high - read.nth
                    if nth >= len(times):
                        raise ValueError("expected times that stay while they are read")
                    value = times.data.as_longlongs[nth]
            elif read.op == OWN:
                value = _own(
                    columns[read.column], columns[read.nth], low, high, after, upto
                )
            elif read.op == DISTINCT or read.op == NAMED:
                value = _of_names(columns[read.column], read.op, low, high, after, upto)
            else:
                value = _of_amounts(columns[read.column], read.op, low, high, after)
            Py_INCREF(value)
            PyTuple_SET_ITEM(answer, place, value)
        return answer


cdef const uint8_t* _codes(object cells, Py_ssize_t events) except NULL:
    """The codes of names of so many events."""
    if PyBytes_GET_SIZE(cells) < events:
        raise ValueError("expected a code of each event")
    return <const uint8_t*> PyBytes_AS_STRING(cells)


cdef object _of_names(object column, Op op, Py_ssize_t low, Py_ssize_t high, long long after, long long upto):
    """`CodedNames.distinct` or `named` of a span that has events."""
    cdef object cells = column.cells
    cdef const uint8_t* codes
    cdef uint64_t seen[4]
    cdef Py_ssize_t place
    cdef int found = 0
    if type(cells) is not bytes:
        if op == DISTINCT:
            return column.distinct(low, high, after, upto)
        return column.named(low, high, after, upto)
    codes = _codes(cells, high)
    if op == NAMED:
        for place in range(low, high):
            found += codes[place] != NAMELESS
        return found
    seen[0] = seen[1] = seen[2] = seen[3] = 0
    for place in range(low, high):
        seen[codes[place] >> 6] |= (<uint64_t> 1) << (codes[place] & 63)
    seen[3] &= ~((<uint64_t> 1) << 63)
    for place in range(4):
        while seen[place]:
            seen[place] &= seen[place] - 1
            found += 1
    return found


cdef object _own(
    object column, object mine, Py_ssize_t low, Py_ssize_t high, long long after, long long upto
):
    """`CodedNames.own` of a span that has events."""
    cdef object cells = column.cells
    cdef tuple names
    cdef const uint8_t* codes
    cdef Py_ssize_t place, code
    cdef int found = 0
    if mine is None:
        return 0
    if type(cells) is not bytes:
        return column.own(mine, low, high, after, upto)
    names = column.names
    code = _place(names, mine)
    if code < PyTuple_GET_SIZE(names):
        codes = _codes(cells, high)
        for place in range(low, high):
            found += codes[place] == code
    return found


cdef object _of_amounts(object column, Op op, Py_ssize_t low, Py_ssize_t high, long long after):
    """`Amounts.total`, `square`, `smallest` or `largest` of a span that has events."""
    cdef array.array amounts
    cdef const int* numbers
    cdef Py_ssize_t place
    cdef long long found
    cdef object index, sums
    amounts = column.amounts
    index = column.index
    if index is not None and (op == TOTAL or op == SQUARE):
        sums = index["total" if op == TOTAL else "square"].sums
        return sums[high] - sums[low]
    # sums of 8 bytes could overflow
    if amounts.ob_descr.typecode != c"i" or index is not None or high - low > MOST_SQUARES:
        if op == TOTAL:
            return column.total(low, high)
        if op == SQUARE:
            return column.square(low, high)
        if op == SMALLEST:
            return column.smallest(low, high, after)
        return column.largest(low, high, after)
    if len(amounts) < high:
        raise ValueError("expected an amount of each event")
    numbers = amounts.data.as_ints
    if op == TOTAL:
        found = 0
        for place in range(low, high):
            found += numbers[place]
        return found
    if op == SQUARE:
        found = 0
        for place in range(low, high):
            if not -SMALL < numbers[place] < SMALL:
                return column.square(low, high)
            found += <long long> numbers[place] * numbers[place]
        return found
    found = numbers[low]
    for place in range(low + 1, high):
        if (numbers[place] < found) == (op == SMALLEST):
            found = numbers[place]
    return found


cdef class Events:
    """Appends events to timelines: times, amounts and names, of short ones at once.

    Args:
        kinds: of each column, "amounts" or "names".
        scanned: timelines with more events have an index of amounts.
        once: gives the one object that all share of a name.
        alike: by number of events, the codes of as many that all have the first name.
        coded: timelines with so many events have no codes.
    """

    cdef tuple _kinds
    cdef Py_ssize_t _scanned
    cdef object _once
    cdef list _alike
    cdef Py_ssize_t _coded

    def __init__(self, tuple kinds not None, Py_ssize_t scanned, once, list alike not None, Py_ssize_t coded):
        if not {*kinds} <= {"amounts", "names"}:
            raise ValueError("expected columns of amounts or names")
        if not 0 <= coded < min(len(alike), NAMELESS):
            raise ValueError("expected codes for one event more, and fewer than 255 names")
        self._kinds, self._scanned = kinds, scanned
        self._once, self._alike, self._coded = once, alike, coded

    def append(self, array.array times not None, tuple columns not None, tuple cells not None, time):
        """Add an event that is later than all others, and what it adds to each column."""
        cdef Py_ssize_t place
        if not len(self._kinds) == len(columns) == len(cells):
            raise ValueError("expected a cell of each column")
        times.append(time)
        for place in range(len(self._kinds)):
            if self._kinds[place] == "names":
                self._push_name(columns[place], times, cells[place])
            else:
                self._push_amount(columns[place], times, cells[place])

    cdef _push_amount(self, column, array.array times, cell):
        """`Amounts.push`."""
        if column.index is None and len(times) <= self._scanned:
            try:
                column.amounts.append(cell)
                return
            except OverflowError:
                pass
        column.push(times, cell)

    cdef _push_name(self, column, array.array times, cell):
        """`CodedNames.push`."""
        cdef object name, cells = column.cells
        cdef tuple names
        cdef Py_ssize_t events, code, known
        cdef bytes longer
        if type(cells) is not bytes or PyBytes_GET_SIZE(cells) >= self._coded:
            column.push(times, cell)
            return
        events = PyBytes_GET_SIZE(cells)
        code = NAMELESS
        if cell is not None:
            names = column.names
            known = PyTuple_GET_SIZE(names)
            name = self._once(cell)
            # the same name is the same object, but for numbers
            for code in range(known):
                if PyTuple_GET_ITEM(names, code) == <PyObject*> name:
                    break
            else:
                code = _place(names, name)
                if code == known:
                    column.names = (*names, name)
        if not code and cells is self._alike[events]:
            column.cells = self._alike[events + 1]
            return
        longer = PyBytes_FromStringAndSize(NULL, events + 1)
        memcpy(PyBytes_AS_STRING(longer), PyBytes_AS_STRING(cells), events)
        PyBytes_AS_STRING(longer)[events] = <char> code
        column.cells = longer


cdef Py_ssize_t _place(tuple names, object name) except -1:
    """The place of a name; the number of names if it is none of them."""
    cdef Py_ssize_t place
    for place in range(PyTuple_GET_SIZE(names)):
        if PyObject_RichCompareBool(<object> PyTuple_GET_ITEM(names, place), name, Py_EQ):
            return place
    return PyTuple_GET_SIZE(names)


cdef uint64_t _size(array.array words, array.array masks) except 0:
    """How many words a filter has."""
    if (
        words.ob_descr.typecode != c"Q"
        or masks.ob_descr.typecode != c"Q"
        or len(masks) != 4096
        or not len(words)
    ):
        raise ValueError("expected words, and 4,096 masks, of 8 bytes")
    return len(words)


def add_bits(array.array words not None, array.array masks not None, Py_hash_t hashed):
    """`_Filter.add`: set the bits of an id."""
    cdef uint64_t* bits = <uint64_t*> words.data.as_ulonglongs
    cdef const uint64_t* three = <const uint64_t*> masks.data.as_ulonglongs
    cdef uint64_t id_ = <uint64_t> hashed, size = _size(words, masks)
    bits[id_ % size] |= three[id_ >> 52]
    bits[(id_ >> 20) % size] |= three[id_ >> 40 & 0xFFF]


def has_bits(array.array words not None, array.array masks not None, Py_hash_t hashed):
    """`_Filter.has`: whether the bits of an id are set."""
    cdef const uint64_t* bits = <const uint64_t*> words.data.as_ulonglongs
    cdef const uint64_t* three = <const uint64_t*> masks.data.as_ulonglongs
    cdef uint64_t id_ = <uint64_t> hashed, size = _size(words, masks)
    cdef uint64_t mask = three[id_ >> 52]
    if bits[id_ % size] & mask != mask:
        return False
    mask = three[id_ >> 40 & 0xFFF]
    return bits[(id_ >> 20) % size] & mask == mask


def scale(rows, tuple scales not None, float[:, ::1] matrix not None):
    """The numbers of rows by name, each less its mean and over its deviation, into a matrix.

    Args:
        rows: a sequence of dictionaries.
        scales: of each column its name, mean and standard deviation.

    Raises:
        KeyError, TypeError, OverflowError: a row has no such number.
    """
    cdef Py_ssize_t row, column
    cdef double number, mean, std
    cdef PyObject* found
    cdef object value
    cdef dict numbers
    # to compare names can run Python that changes the caller's list
    cdef list all_numbers = list(rows)
    if matrix.shape[0] < len(all_numbers) or matrix.shape[1] < PyTuple_GET_SIZE(scales):
        raise ValueError("expected a matrix with room for all numbers")
    for column in range(PyTuple_GET_SIZE(scales)):
        name, mean, std = <object> PyTuple_GET_ITEM(scales, column)
        for row in range(len(all_numbers)):
            numbers = all_numbers[row]
            if numbers is None:
                raise TypeError
            found = PyDict_GetItemWithError(numbers, name)
            if found is NULL:
                raise KeyError(name)
            value = <object> found
            if type(value) is float:
                number = PyFloat_AS_DOUBLE(value)
            elif value is None:
                number = NAN
            elif type(value) is int or type(value) is bool:
                number = PyLong_AsDouble(value)
            else:
                raise TypeError
            matrix[row, column] = <float> ((number - mean) / std)


cdef enum:
    # rows that go down a tree together: their loads of memory wait at the same time
    GROUP = 32
    MOST_PLACES = 1 << 16

cdef struct Node:
    float threshold
    uint16_t place
    # where the left child is in its tree, with the right one behind it; a leaf's is the leaf
    uint16_t child
    double leaf

cdef struct Table:
    Py_ssize_t column
    Py_ssize_t codes
    Py_ssize_t sets
    float* outside


cdef class Trees:
    """Sums the leaves that rows reach in trees, in double precision and the order of the trees.

    A row goes right where a place of it is above the threshold. Its places are its inputs with -inf
    for NaN, then with inf for NaN, then whether its codes are outside of each set.

    Args:
        columns: the number of inputs.
        tables: of nominal columns the column, and of each code a text of 1 for sets it is outside of.
        trees: of each its nodes in the order of their levels: a place and a threshold below inf, or
            the value of a leaf alone.

    Raises:
        TypeError, ValueError, OverflowError: they are others.
    """

    cdef Node* _nodes
    cdef Py_ssize_t* _roots
    cdef Py_ssize_t* _depths
    cdef Table* _tables
    cdef Py_ssize_t _trees, _columns, _width, _nominal

    def __cinit__(self, Py_ssize_t columns, list tables not None, list trees not None):
        cdef Py_ssize_t tree, root = 0, more = sum([len(nodes) for nodes in trees])
        self._trees, self._columns, self._width = len(trees), columns, 2 * columns
        self._nodes = <Node*> malloc(max(more, 1) * sizeof(Node))
        self._roots = <Py_ssize_t*> malloc(max(self._trees, 1) * sizeof(Py_ssize_t))
        self._depths = <Py_ssize_t*> malloc(max(self._trees, 1) * sizeof(Py_ssize_t))
        self._tables = <Table*> malloc(max(len(tables), 1) * sizeof(Table))
        if not (self._nodes and self._roots and self._depths and self._tables):
            raise MemoryError
        if not 0 < columns < MOST_PLACES // 2:
            raise ValueError("expected inputs that 2 bytes can number")
        for column, outside in tables:
            self._add(column, outside)
        for tree in range(self._trees):
            self._roots[tree] = root
            self._depths[tree] = self._grow(self._nodes + root, trees[tree])
            root += len(trees[tree])

    def __dealloc__(self):
        while self._nominal:
            self._nominal -= 1
            free(self._tables[self._nominal].outside)
        free(self._tables)
        free(self._depths)
        free(self._roots)
        free(self._nodes)

    cdef int _add(self, Py_ssize_t column, list rows) except -1:
        """A table, and its places."""
        cdef Py_ssize_t sets = len(rows[0]) if rows else 0, place = 0
        cdef Table* table = &self._tables[self._nominal]
        cdef str row
        cdef Py_UCS4 outside
        if not 0 <= column < self._columns or not sets or self._width + sets > MOST_PLACES:
            raise ValueError("expected a nominal column, and sets that 2 bytes can number")
        table[0] = Table(column, len(rows), sets, <float*> malloc(len(rows) * sets * sizeof(float)))
        self._nominal += 1
        self._width += sets
        if table.outside is NULL:
            raise MemoryError
        for row in rows:
            if len(row) != sets:
                raise ValueError("expected all sets of each code")
            for outside in row:
                table.outside[place] = outside == u"1"
                place += 1
        return 0

    cdef Py_ssize_t _grow(self, Node* nodes, list tree) except -1:
        """Fill in the nodes of a tree; returns its depth."""
        cdef Py_ssize_t at, children = 1, end = 1, depth = 0
        if len(tree) > MOST_PLACES:
            raise ValueError("expected nodes that 2 bytes can number")
        for at in range(len(tree)):
            if at == end:
                depth += 1
                end = children
            if len(tree[at]) == 1:
                nodes[at] = Node(INFINITY, 0, at, tree[at][0])
                continue
            place, threshold = tree[at]
            nodes[at] = Node(threshold, place, children, 0.0)
            if nodes[at].place >= self._width or not nodes[at].threshold < INFINITY:
                raise ValueError("expected a place of a row, and a threshold below infinity")
            children += 2
        if children != len(tree):
            raise ValueError("expected two children of each node that is no leaf")
        return depth

    def score(self, const float[:, :] rows not None):
        """The scores of rows [n, inputs], rounded to single precision.

        None: a code is none of its table, or there are more or fewer inputs.
        """
        cdef Py_ssize_t start, many, row
        cdef double sums[GROUP]
        cdef bint known = rows.shape[1] == self._columns
        cdef list scores = []
        cdef float* places = <float*> malloc(GROUP * self._width * sizeof(float))
        if places is NULL:
            raise MemoryError
        for start in range(0, rows.shape[0], GROUP):
            many = min(<Py_ssize_t> GROUP, rows.shape[0] - start)
            with nogil:
                known = known and self._place(rows, start, many, places)
                if known:
                    self._sum(places, many, sums)
            if not known:
                break
            for row in range(many):
                scores.append(<float> sums[row])
        free(places)
        return scores if known else None

    cdef bint _place(
        self, const float[:, :] rows, Py_ssize_t start, Py_ssize_t many, float* places
    ) noexcept nogil:
        """Fill in the places of so many rows; whether all codes are known."""
        cdef Py_ssize_t row, column, at
        cdef float value
        cdef Table* table
        for row in range(start, start + many):
            for column in range(self._columns):
                value = rows[row, column]
                places[column] = -INFINITY if value != value else value
                places[self._columns + column] = INFINITY if value != value else value
            places += 2 * self._columns
            for at in range(self._nominal):
                table = &self._tables[at]
                value = rows[row, table.column]
                if not 0 <= value < table.codes:
                    return False
                memcpy(
                    places,
                    table.outside + <Py_ssize_t> value * table.sets,
                    table.sets * sizeof(float),
                )
                places += table.sets
        return True

    cdef void _sum(self, const float* places, Py_ssize_t many, double* sums) noexcept nogil:
        """All rows go down a tree level by level: none waits for another, and no branch is guessed."""
        cdef Py_ssize_t row, tree, level, width = self._width
        cdef uint32_t reached[GROUP]
        cdef const float* of_row
        cdef const Node* nodes
        cdef const Node* node
        for row in range(many):
            sums[row] = 0.0
        for tree in range(self._trees):
            nodes = self._nodes + self._roots[tree]
            of_row = places
            for row in range(many):
                reached[row] = nodes.child + (of_row[nodes.place] > nodes.threshold)
                of_row += width
            for level in range(1, self._depths[tree]):
                of_row = places
                for row in range(many):
                    node = &nodes[reached[row]]
                    reached[row] = node.child + (of_row[node.place] > node.threshold)
                    of_row += width
            for row in range(many):
                sums[row] += nodes[reached[row]].leaf
