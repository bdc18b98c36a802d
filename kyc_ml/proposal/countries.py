"""Names of countries in English and Chinese, and what ISO 3166-1 calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NAMES: Final = """
AE ARE 阿联酋 United_Arab_Emirates UAE
AR ARG 阿根廷 Argentina
AT AUT 奥地利 Austria
AU AUS 澳大利亚 Australia
BD BGD 孟加拉国 孟加拉 Bangladesh
BE BEL 比利时 Belgium
BG BGR 保加利亚 Bulgaria
BR BRA 巴西 Brazil
CA CAN 加拿大 Canada
CH CHE 瑞士 Switzerland
CL CHL 智利 Chile
CN CHN 中国 中华人民共和国 China PRC
CO COL 哥伦比亚 Colombia
CY CYP 塞浦路斯 Cyprus
CZ CZE 捷克 Czech_Republic Czechia
DE DEU 德国 Germany Deutschland
DK DNK 丹麦 Denmark
EE EST 爱沙尼亚 Estonia
EG EGY 埃及 Egypt
ES ESP 西班牙 Spain
FI FIN 芬兰 Finland
FR FRA 法国 France
GB GBR 英国 United_Kingdom UK Great_Britain
GR GRC 希腊 Greece
HK HKG 香港 中国香港 香港特别行政区 Hong_Kong
HR HRV 克罗地亚 Croatia
HU HUN 匈牙利 Hungary
ID IDN 印度尼西亚 印尼 Indonesia
IE IRL 爱尔兰 Ireland
IL ISR 以色列 Israel
IN IND 印度 India
IR IRN 伊朗 Iran
IT ITA 意大利 Italy
JP JPN 日本 Japan
KE KEN 肯尼亚 Kenya
KH KHM 柬埔寨 Cambodia
KP PRK 朝鲜 North_Korea
KR KOR 韩国 South_Korea Korea
KY CYM 开曼群岛 Cayman_Islands
KZ KAZ 哈萨克斯坦 Kazakhstan
LA LAO 老挝 Laos
LI LIE 列支敦士登 Liechtenstein
LT LTU 立陶宛 Lithuania
LU LUX 卢森堡 Luxembourg
LV LVA 拉脱维亚 Latvia
MA MAR 摩洛哥 Morocco
MM MMR 缅甸 Myanmar
MN MNG 蒙古 Mongolia
MO MAC 澳门 中国澳门 澳门特别行政区 Macao Macau
MT MLT 马耳他 Malta
MX MEX 墨西哥 Mexico
MY MYS 马来西亚 Malaysia
NG NGA 尼日利亚 Nigeria
NL NLD 荷兰 Netherlands
NO NOR 挪威 Norway
NZ NZL 新西兰 New_Zealand
PA PAN 巴拿马 Panama
PE PER 秘鲁 Peru
PH PHL 菲律宾 Philippines
PK PAK 巴基斯坦 Pakistan
PL POL 波兰 Poland
PT PRT 葡萄牙 Portugal
QA QAT 卡塔尔 Qatar
RO ROU 罗马尼亚 Romania
RS SRB 塞尔维亚 Serbia
RU RUS 俄罗斯 Russia Russian_Federation
SA SAU 沙特阿拉伯 沙特 Saudi_Arabia
SE SWE 瑞典 Sweden
SG SGP 新加坡 Singapore
SI SVN 斯洛文尼亚 Slovenia
SK SVK 斯洛伐克 Slovakia
SY SYR 叙利亚 Syria
TH THA 泰国 Thailand
TR TUR 土耳其 Turkey Türkiye
TW TWN 台湾 中国台湾 Taiwan
UA UKR 乌克兰 Ukraine
US USA 美国 United_States United_States_of_America
VE VEN 委内瑞拉 Venezuela
VG VGB 英属维尔京群岛 British_Virgin_Islands
VN VNM 越南 Vietnam Viet_Nam
ZA ZAF 南非 South_Africa
"""

COUNTRY_CODES: Final[Mapping[str, str]] = {
    name.replace("_", " ").lower(): line.split()[0]
    for line in _NAMES.strip().splitlines()
    for name in line.split()[1:]
}
"""Code of two letters by a name or code of three letters, in small letters."""
