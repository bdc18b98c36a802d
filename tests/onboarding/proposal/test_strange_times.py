"""Times as people write them: read, doubted where two readings fit, or named with what to write."""

import pandas as pd
import pytest

from kyc_ml.onboarding.proposal.finding import find_sources
from kyc_ml.onboarding.proposal.samples import open_samples
from kyc_ml.onboarding.proposal.times import read_time, why_no_time

COPIES = 20
MORNING, EVENING = "2024-01-07 11:35:00", "2024-01-17 13:35:10"
READ = {
    "us": (["01/07/2024 11:35:00 AM", "01/17/2024 01:35:10 PM"], [MORNING, EVENING], ""),
    "halves": (["2024/1/7 上午11:35:00", "2024/1/17 下午1:35:10"], [MORNING, EVENING], ""),
    "apart": (["2024/1/7 上午 11:35:00", "2024/1/17 下午 1:35:10"], [MORNING, EVENING], ""),
    "signs": (["2024年01月07日 11时35分0秒", "2024年1月17日 13时35分10秒"], [MORNING, EVENING], ""),
    "wide": (["２０２４－０１－０７ １１：３５：００", "２０２４－０１－１７ １３：３５：１０"],
             [MORNING, EVENING], ""),
    "digits": (["20240107113500", "20240117133510"], [MORNING, EVENING], ""),
    "db2": (["2024-01-07-11.35.00.000000", "2024-01-17-13.35.10.000000"], [MORNING, EVENING], ""),
    "oracle": (["07-JAN-24 11.35.00.000000 AM", "17-JAN-24 01.35.10.000000 PM"],
               [MORNING, EVENING], "two digits"),
    "ctime": (["Sun Jan 07 11:35:00 2024", "Wed Jan 17 13:35:10 2024"], [MORNING, EVENING], ""),
    "basic": (["20240107T113500", "20240117T133510"], [MORNING, EVENING], ""),
    "float_digits": (["20240107.0", "20240117.0"], ["2024-01-07", "2024-01-17"], ""),
    "excel": (["45298.5", "45308.25"], ["2024-01-07 12:00", "2024-01-17 06:00"], "Excel"),
    "excel_days": (["45298", "45308"], ["2024-01-07", "2024-01-17"], "Excel"),
    "seconds": (["1704627300", "1705498510"], [MORNING, EVENING], "epoch seconds"),
    "millis": (["1704627300000", "1705498510000"], [MORNING, EVENING], "epoch milliseconds"),
    "unix_time": (["1704627300", "1705498510"], [MORNING, EVENING], ""),
    "order": (["03/04/2024", "05/06/2024"], ["2024-04-03", "2024-06-05"], "exchanged"),
    "us_order": (["03/04/2024 1:00 AM", "05/06/2024 1:00 AM"],
                 ["2024-03-04 01:00", "2024-05-06 01:00"], "exchanged"),
    "short_year": (["13/04/24", "25/06/24"], ["2024-04-13", "2024-06-25"], "two digits"),
    "ruled_in": (["01/02/2024"] * 99 + ["13/02/2024"], ["2024-02-01", "2024-02-01"], ""),
    "month": (["2024-01", "2024-02"], ["2024-02-01", "2024-03-01"], "its end"),
    "month_digits": (["202401", "202402"], ["2024-02-01", "2024-03-01"], "its end"),
}  # fmt: skip
NAMED = {
    "java": (["Sun Jan 07 11:35:00 CST 2024", "Mon Jan 08 11:35:00 CST 2024"],
             "try_strptime(replace(java, ' CST', ''), '%a %b %d %H:%M:%S %Y')"),
    "suffix": (["2024-01-07 11:35:00 IST", "2024-01-08 11:35:00 IST"], "(IST)"),
    "unknown": (["2024 07 01 week 27", "2024 08 01 week 31"], "9999 99 99 aaaa 99"),
    "evening": (["2024-01-07 晚8:00", "2024-01-08 晚9:00"], "a form that is not known"),
}  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("times")
    texts = {name: rows[0] for name, rows in {**READ, **NAMED}.items()}
    columns = {name: (each * 100)[:100] for name, each in texts.items()}
    frame = pd.DataFrame({"row": [f"r{n}" for n in range(100)], **columns})
    frame.to_csv(folder / "t.csv", index=False)
    with open_samples(folder, find_sources(folder)) as opened:
        yield opened


def read(engine, sql):
    return engine.connection.execute(
        f"SELECT CAST(CAST(CAST({sql} AS TIMESTAMPTZ) AS TIMESTAMP) AS VARCHAR) "
        "FROM t ORDER BY rowid"
    ).fetchall()


@pytest.mark.parametrize("name", READ)
def test_a_time_is_read_or_is_a_guess(engine, name):
    _, times, doubt = READ[name]
    sample = engine.sample("t")
    reading = read_time(sample.column(name), named=1.0)
    assert [pd.Timestamp(row[0]) for row in read(engine, reading.sql)[:2]] == [
        pd.Timestamp(time) for time in times
    ]
    assert doubt in reading.doubt
    assert bool(doubt) == bool(reading.doubt)


@pytest.mark.parametrize("name", NAMED)
def test_a_form_that_is_not_read_is_named_with_what_to_write(engine, name):
    sample = engine.sample("t")
    assert read_time(sample.column(name), named=1.0) is None
    assert NAMED[name][1] in why_no_time(sample.column(name))
